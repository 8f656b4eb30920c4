"""Every task that serves strings answers, without kerasft, as it does in memory.

All SavedModels are asked 500 strings, real and strange ones, in one process that has
TensorFlow and tensorflow_text alone; of tiny checkpoints, one with a tokenizer of
words and one of bytes, and of a real one. Quickly only those of a few tasks are: others
have their own files, `test_export*.py`.
"""

import functools

import keras
import numpy as np
import pytest
from byte_tokenizers import byte_level
from lone_process import ask
from same_answers import SAME
from tiny_tasks import LABELS, TAGS, save_tiny_bert

import kerasft as kft
from kerasft.data.tripling import triple_examples
from kerasft.serving.fuzz import adversarial_texts, with_masks
from kerasft.serving.verify_relations import relations_to_ask
from kerasft.tasks import TASKS, exporting

FEW, MANY = 60, 500
QUICK = {
    "tiny": ("masked_lm", "multiple_choice", "zero-shot by nearness"),
    "bytes": ("token_classifier", "masked_lm", "question_answerer"),
}
KINDS = ("tiny", "bytes", "minilm")
LENGTH = 40  # Tokens that a model takes.


# --- of each export: how it is made, from a function that makes a task


def classifier(made, **options):
    """One that gives each label to some texts; its bias decided alone, else."""
    task = made(kft.TextClassifier, labels=LABELS, **options)
    logits = task.predict_rows(kft.from_lists(adversarial_contexts(50)))
    bias = task.head.logits.bias
    bias.assign(bias - np.median(logits, axis=0))
    return task


def answerer(made):
    """One that gives no answer to half of the questions."""
    task = made(kft.QuestionAnswerer)
    asked = kft.from_questions(["who?"] * 9, adversarial_contexts(9))
    doubts = [one.doubts[0] for one in task.predict_rows(asked) if len(one.scores)]
    task.no_answer_threshold = float(np.sort(doubts)[3:5].mean())
    return task


def adversarial_contexts(count):
    return [f"a good film {text}" for text in adversarial_texts(count, 11)]


def entailment(made):
    task = made(kft.TextClassifier, labels=("entailment", "neutral", "contradiction"))
    return kft.ZeroShotClassifier(task, LABELS, "a {} film", multi_label=True)


def nearness(made):
    return kft.ZeroShotClassifier(made(kft.TextEmbedder, pooling="mean"), LABELS)


def finder(made):
    """One for which few of all pairs of tokens are mentions, as in any text."""
    task = made(kft.TripleExtractor, labels=("by", "of"))
    rows = kft.from_triples([text or "x" for text in adversarial_contexts(20)])
    found = triple_examples(rows, task.tokenizer, task.labels)
    maps = [one[:2] for _, some in task.outputs(found.examples) for one in some]
    cells = np.concatenate([one.reshape(2, -1) for one in maps], axis=1)
    likely = [np.quantile(side[side > -1e4], 0.98) for side in cells]
    bias = task.head.mentions.bias.bias
    bias.assign(bias - np.array([*likely, 0, 0], "float32"))
    return task


EXPORTS = {
    "text_classifier": classifier,
    "text_classifier of pairs": lambda made: classifier(made, problem="multi_label"),
    "token_classifier": lambda made: made(
        kft.TokenClassifier, labels=("ADJ", "NOUN", "VERB")
    ),
    "token_classifier with crf": lambda made: made(
        kft.TokenClassifier, labels=TAGS, scheme="IOB2", crf=True
    ),
    "question_answerer": lambda made: made(kft.QuestionAnswerer),
    "question_answerer in doubt": answerer,
    "relation_extractor": lambda made: made(kft.RelationExtractor, labels=LABELS),
    "triple_extractor": finder,
    "masked_lm": lambda made: made(kft.MaskedLM),
    "multiple_choice": lambda made: made(kft.MultipleChoice),
    "text_embedder": lambda made: made(kft.TextEmbedder, pooling="mean"),
    "few_shot_classifier": lambda made: made(kft.FewShotClassifier, labels=LABELS),
    "zero-shot by nearness": nearness,
    "zero-shot by entailment": entailment,
}
WITHOUT_STRINGS = {"pretraining", "replaced_token_detection"}
ELSEWHERE = {"causal_lm"}  # It needs another tokenizer: test_export_writing.py.


def export(name, task, folder):
    task.export(folder, **({"pairs": True} if name.endswith("of pairs") else {}))


# --- what each is asked, from all strings


def masked(text, seed, mask, reading):
    """The beginning of a text, with masks in it, that is short enough."""
    (found,) = with_masks([text], mask, seed)
    while len(reading.encode(found).ids) > LENGTH:  # It may split a word.
        text = text[: len(text) // 2]
        (found,) = with_masks([text], mask, seed)
    return found


def asked(name, texts, task):
    others = texts[::-1]
    if name.endswith("of pairs"):
        return {"text": texts, "text_pair": others}
    if name.startswith("question_answerer"):
        return {"question": others, "context": texts}
    if name == "relation_extractor":
        rows = relations_to_ask(texts)
        return {key: [row[key] for row in rows] for key in rows[0]}
    if name == "masked_lm":
        mask, reading = task.tokenizer.mask, task.tokenizer.reading_masks().backend
        some = [masked(text, i, mask, reading) for i, text in enumerate(texts)]
        return {"text": some}
    if name == "multiple_choice":
        several = [
            [text if text.strip() else "x" for text in (texts[i - 1], *others[i:][:3])]
            for i in range(len(texts) - 1)
        ]
        counts = [2 + i % 3 for i in range(len(several))]
        return {
            "context": texts[:-1],
            "question": [text if i % 2 else "" for i, text in enumerate(others[:-1])],
            "choices": [
                [*some[:count], "", "", ""][:4]
                for some, count in zip(several, counts, strict=True)
            ],
        }
    return {"text": texts}


def test_every_task_is_here():
    served = {name.split(" ")[0] for name in EXPORTS} - {"zero-shot"}
    assert served | WITHOUT_STRINGS | ELSEWHERE == set(TASKS)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    keras.utils.set_random_seed(0)
    tiny = save_tiny_bert(tmp_path_factory.mktemp("tiny"), num_layers=1)
    own = byte_level("roberta")
    bytes_ = save_tiny_bert(
        tmp_path_factory.mktemp("bytes"),
        "roberta",
        num_layers=1,
        vocab_size=own.get_vocab_size(),
        type_vocab_size=1,
        max_position_embeddings=LENGTH + 2,
    )
    own.save(str(bytes_ / "tokenizer.json"))
    (bytes_ / "tokenizer_config.json").write_text('{"mask_token": "<mask>"}')
    return {
        "tiny": lambda _: tiny,
        "bytes": lambda _: bytes_,
        "minilm": lambda ask: ask("minilm"),
    }


@pytest.fixture(scope="module")
def served(request, checkpoints, vader_texts, tmp_path_factory):
    """A function of checkpoint and number of strings, of which one process is asked."""

    @functools.cache
    def all_of(kind, count):
        folder = checkpoints[kind](request.getfixturevalue)
        place = tmp_path_factory.mktemp("exports")
        return answered(folder, kind, count, vader_texts, place)

    return all_of


def answered(folder, kind, count, vader_texts, place):
    """Of each export its task, what was asked, and what the lone process answered."""
    real = vader_texts[:: len(vader_texts) // count][: count // 2]
    texts = [*real, *adversarial_texts(count - count // 2, 5)]

    def made(task, **options):
        """Its weights are far from those it started with, so that answers differ."""
        keras.utils.set_random_seed(1)
        task = task.from_pretrained(folder, max_length=LENGTH, **options)
        for weight in task.trainable_weights if kind != "minilm" else ():
            weight.assign_add(keras.random.normal(weight.shape, 0, 0.2))
        for weight in getattr(task.head, "logits", keras.layers.Layer()).weights:
            weight.assign(weight * 10)
        return task

    chosen = QUICK[kind] if count == FEW else EXPORTS
    tasks = {name: EXPORTS[name](made) for name in chosen}
    with pytest.MonkeyPatch.context() as patch:
        # The proof itself is tested in tests/serving.
        patch.setattr(exporting, "VERIFIED_FUZZ", 50)
        for name, task in tasks.items():
            export(name, task, place / name)
    given = {name: asked(name, texts, tasks[name]) for name in chosen}
    answers = ask({name: (place / name, given[name]) for name in chosen})
    return {name: (tasks[name], given[name], answers[name]) for name in chosen}


CASES = [(kind, FEW, name) for kind in QUICK for name in QUICK[kind]]
CASES += [
    pytest.param(kind, MANY, name, marks=pytest.mark.slow)
    for kind in KINDS
    for name in EXPORTS
]


@pytest.mark.parametrize("kind, count, name", CASES)
def test_it_answers_alone_as_the_task_does(kind, count, name, served):
    answers = SAME[name](*served(kind, count)[name])
    assert len(set(answers)) > 1  # Else a wrong answer could not show.
