"""Tiny random classifiers and rows for the tests beside it; torch is not needed."""

import numpy as np
from tiny_tokenizers import save_tokenizer

import kerasft as kft
from kerasft.models import FAMILIES

LABELS = ("bad", "good", "meh")
TAGS = ("O", "B-BAD", "I-BAD", "B-GOOD", "I-GOOD")
GOOD, BAD = "a great good film", "the very awful boring plot"


def save_tiny_bert(folder, model_type="bert", **settings):
    """A BERT of 2 layers, width 32, and a tokenizer of 101 pieces, without a head."""
    family = FAMILIES[model_type]
    sizes = {
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 4,
        "intermediate_size": 64,
    }
    config = family.config_class(
        model_type=model_type,
        **{
            "vocab_size": 101,
            "max_position_embeddings": 40,
            **sizes,
            **family.defaults,
            **settings,
        },
    )
    family.new_backbone(config).save_pretrained(folder)
    return save_tokenizer(folder)


def tiny_rows(count=43, seed=0):
    """Good and bad films, some with the words of both; lengths differ."""
    random = np.random.default_rng(seed)
    texts, labels = [], []
    for _ in range(count):
        label = LABELS[random.integers(0, 3)]
        words = {"good": GOOD, "bad": BAD, "meh": f"{GOOD} {BAD}"}[label].split()
        texts.append(" ".join(random.choice(words, random.integers(2, 12))))
        labels.append(label)
    return kft.from_lists(texts, labels)


def tiny_pairs(count=43, seed=0):
    """Pairs of films of one kind; with words in another order and number."""
    rows = tiny_rows(count, seed)
    random = np.random.default_rng(seed + 1)
    texts = rows.texts()
    pairs = [" ".join(random.permutation(text.split())) + " film" for text in texts]
    return kft.from_lists(texts, text_pairs=pairs)


def tiny_tagged(count=43, seed=0):
    """Words of films: good and bad ones are entities, some of several words."""
    random = np.random.default_rng(seed)
    texts, tags = [], []
    for _ in range(count):
        words = random.choice(f"{GOOD} {BAD}".split(), random.integers(2, 12)).tolist()
        row, before = [], None
        for word in words:
            kind = {"great": "GOOD", "good": "GOOD", "awful": "BAD", "boring": "BAD"}
            kind = kind.get(word)
            prefix = "I" if kind == before else "B"
            row.append(f"{prefix}-{kind}" if kind else "O")
            before = kind
        texts.append(words)
        tags.append(row)
    return kft.from_tags(texts, tags)


def tiny_questions(count=43, seed=0, empty_every=5):
    """Questions of two digits about some words, more than a window holds of them.

    Args:
        empty_every: each so manieth has no answer; 0: all have one.
    """
    random = np.random.default_rng(seed)
    words = [*"great good film very awful boring plot".split(), *"bcdefghijklmnopqrst"]
    questions, contexts, answers = [], [], []
    for i in range(count):
        chosen = random.choice(words, random.integers(40, 64)).tolist()
        first = int(random.integers(0, len(chosen) - 3))
        answer = " ".join(chosen[first : first + random.integers(1, 4)])
        start = len(" ".join([*chosen[:first], ""]))
        questions.append(f"{i:02d}")
        contexts.append(" ".join(chosen))
        empty = empty_every and i % empty_every == 0
        answers.append([] if empty else {"text": answer, "start": start})
    return kft.from_questions(questions, contexts, answers)


def tiny_masked(count=43, seed=0):
    """Films with a word missing in each; to a tokenizer the mask is plain text."""
    random = np.random.default_rng(seed)
    texts = []
    for row in tiny_rows(count, seed).texts():
        words = row.split()
        words[random.integers(0, len(words))] = "[MASK]"
        texts.append(" ".join(words))
    return kft.from_lists(texts)


def tiny_choices(count=43, seed=0):
    """Which of two to four choices is of the film's kind; lengths differ."""
    random = np.random.default_rng(seed)
    contexts, choices, labels = [], [], []
    for _ in range(count):
        kinds = [GOOD.split(), BAD.split()]
        right = int(random.integers(0, 2))
        some = [
            " ".join(random.choice(kinds[1 - right], random.integers(1, 5)))
            for _ in range(random.integers(2, 5))
        ]
        label = int(random.integers(0, len(some)))
        some[label] = " ".join(random.choice(kinds[right], random.integers(1, 5)))
        contexts.append(" ".join(random.choice(kinds[right], random.integers(1, 12))))
        choices.append(some)
        labels.append(label)
    return kft.from_choices(contexts, choices, labels)


def tiny_documents(count=43, seed=0):
    """Texts of three sentences."""
    lines = tiny_rows(3 * count, seed).texts()
    return kft.from_lists([". ".join(lines[i::count]) + "." for i in range(count)])


def tiny_relations(count=43, seed=0):
    """Two words of a film, which may be the same: whether both are good, or bad."""
    random = np.random.default_rng(seed)
    kinds = {word: "good" for word in GOOD.split()} | {w: "bad" for w in BAD.split()}
    texts, heads, tails, labels = [], [], [], []
    for _ in range(count):
        words = random.choice(list(kinds), random.integers(2, 12)).tolist()
        first, second = random.integers(0, len(words), 2)
        texts.append(words)
        heads.append((first, first + 1))
        tails.append((second, second + 1))
        both = {kinds[words[first]], kinds[words[second]]}
        labels.append(both.pop() if len(both) == 1 else "meh")
    return kft.from_relations(texts, heads, tails, labels)


def tiny_triples(count=43, seed=0):
    """Each "very" belongs to the word after it, and dislikes the one before it."""
    random = np.random.default_rng(seed)
    texts, triples = [], []
    for _ in range(count):
        words = random.choice(f"{GOOD} {BAD} very".split(), random.integers(2, 12))
        texts.append(words.tolist())
        found = []
        for i in np.flatnonzero(words == "very"):
            if i + 1 < len(words):
                found.append(((i, i + 1), "of", (i + 1, i + 2)))
            if i:
                found.append(((i, i + 1), "dislikes", (i - 1, i)))
        triples.append(found)
    return kft.from_triples(texts, triples)
