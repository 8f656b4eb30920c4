"""Windows of contexts after their questions, against the reference tokenizer's own."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_tokenizers import save_tokenizer
from tokenizers import Tokenizer as Reference
from tokenizers import decoders, models, pre_tokenizers, processors

import kerasft as kft
from kerasft._errors import DataError, SettingsError
from kerasft.data.answering import question_examples
from kerasft.data.tokenizer import Tokenizer

LENGTH, OVERLAP = 20, 4


def byte_level():
    """A tokenizer as RoBERTa's: of bytes, two marks between the texts, one type."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    entries = ["<s>", "<pad>", "</s>", "<unk>", *alphabet, "Ġa", "oo", "Ġg"]
    vocabulary = {entry: i for i, entry in enumerate(entries)}
    merges = [("Ġ", "a"), ("o", "o"), ("Ġ", "g")]
    tokenizer = Reference(models.BPE(vocabulary, merges, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=False, add_prefix_space=False
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


@pytest.fixture(scope="module", params=["WordPiece", "bytes"])
def tokenizer(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    if request.param == "WordPiece":
        save_tokenizer(folder)
    else:
        byte_level().save(str(folder / "tokenizer.json"))
        (folder / "tokenizer_config.json").write_text(json.dumps({}))
    return Tokenizer.from_pretrained(folder, LENGTH)


def reference_windows(tokenizer, question, context):
    """The windows that the reference makes: the context cut, with an overlap."""
    backend = Reference.from_str(tokenizer.backend.to_str())
    backend.encode_special_tokens = True
    backend.enable_truncation(LENGTH, stride=OVERLAP, strategy="only_second")
    first = backend.encode(question, context)
    return [first, *first.overflowing]


WORDS = [
    "a",
    "good",
    "film.",
    "é",
    "ünïted",
    "x-y",
    "  ",
    "[SEP]",
    "awfuls",
    "日本",
    "\t",
]
contexts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=40).map(" ".join)
questions = st.sampled_from(["a", "good film", "é?", "is it a"])


@settings(max_examples=150, deadline=None)
@given(asked=st.lists(st.tuples(questions, contexts), min_size=1, max_size=3))
def test_windows_are_those_of_the_reference(tokenizer, asked):
    rows = kft.from_questions(*zip(*asked, strict=True))
    found = question_examples(rows, tokenizer, OVERLAP)
    expected = [
        (i, window)
        for i, row in enumerate(asked)
        for window in reference_windows(tokenizer, *row)
    ]
    assert found.rows.tolist() == [i for i, _ in expected]
    examples = found.examples
    for k, (_, window) in enumerate(expected):
        first = examples.starts[k]
        ids = examples.ids[first : first + examples.lengths[k]]
        assert ids.tolist() == window.ids
        types = np.arange(len(ids)) >= examples.second_starts[k]
        assert types.astype(int).tolist() == window.type_ids
        mine = [i for i, side in enumerate(window.sequence_ids) if side == 1]
        begin, stop = found.spans[k]
        assert list(range(begin, stop)) == mine
        assert len(found.characters[k]) == len(mine)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), context=contexts)
def test_labels_are_the_tokens_of_the_first_answer_in_the_window(
    tokenizer, data, context
):
    answers = []
    for _ in range(data.draw(st.integers(0, 2))):
        start = data.draw(st.integers(0, len(context) - 1))
        end = data.draw(st.integers(start + 1, min(len(context), start + 9)))
        if context[start:end].strip():
            answers.append({"text": context[start:end], "start": start})
    rows = kft.from_questions(["a"], [context], [answers])
    found = question_examples(rows, tokenizer, OVERLAP)
    unlimited = Reference.from_str(tokenizer.backend.to_str())
    unlimited.encode_special_tokens = True
    everything = unlimited.encode("a", context)
    for k, window in enumerate(reference_windows(tokenizer, "a", context)):
        held = []
        for answer in answers:
            places = touched(window, context, answer)
            if places and len(places) == len(touched(everything, context, answer)):
                held.append([places[0], places[-1]])
        assert found.labels[k].tolist() == (held[0] if held else [0, 0])


def touched(encoding, context, answer):
    """The context's tokens that have a visible character of the answer."""
    stop = answer["start"] + len(answer["text"])
    return [
        i
        for i, (begin, end) in enumerate(encoding.offsets)
        if encoding.sequence_ids[i] == 1
        and context[max(begin, answer["start"]) : min(end, stop)].strip()
    ]


def test_an_answer_without_a_token_is_not_scored(tmp_path):
    tokenizer = Tokenizer.from_pretrained(save_tokenizer(tmp_path), LENGTH)
    answers = [{"text": "\u200b", "start": 2}, {"text": "good", "start": 4}]
    context = "a \u200b good"  # BERT's tokenizer drops the zero-width space.
    rows = kft.from_questions(["a"] * 2, [context] * 2, [answers[0], answers])
    labels = question_examples(rows, tokenizer).labels
    assert labels.tolist() == [[-100, -100], [4, 4]]


def test_a_long_question_is_cut_at_its_end_to_half_of_the_room(tokenizer):
    long = " ".join("a" * 50)
    rows = kft.from_questions([long, long], [long, "a"])
    found = question_examples(rows, tokenizer, overlap=1)
    assert found.cut_questions == 2
    assert (found.examples.lengths == LENGTH)[[0, -1]].all()
    room = LENGTH - tokenizer.backend.num_special_tokens_to_add(is_pair=True)
    whole = tokenizer.backend.encode(long, add_special_tokens=False).ids
    for k, kept in ((0, room // 2), (-1, room - 1)):
        first = found.examples.starts[k] + 1  # After the first special token.
        assert found.examples.ids[first : first + kept].tolist() == whole[:kept]
        begin, stop = found.spans[k]
        assert stop - begin == room - kept


def test_a_context_without_tokens_is_one_window(tokenizer):
    found = question_examples(kft.from_questions(["a", "a"], ["", "a"]), tokenizer)
    assert found.rows.tolist() == [0, 1]
    assert len(found.characters[0]) == 0
    assert found.spans[0][0] == found.spans[0][1]


def test_windows_that_would_not_move_on_are_refused(tokenizer):
    rows = kft.from_questions(["a"], ["a good film"])
    with pytest.raises(SettingsError, match="overlap is 15"):
        question_examples(rows, tokenizer, overlap=15)
    with pytest.raises(DataError, match="no rows"):
        question_examples(rows.select([]), tokenizer)


def test_windows_of_real_articles_are_those_of_the_reference(minilm, bbc_texts):
    tokenizer = Tokenizer.from_pretrained(minilm, 512).shortened(128)
    articles, question = bbc_texts[::40], "What was announced, and by whom?"
    found = question_examples(
        kft.from_questions([question] * len(articles), articles), tokenizer, 32
    )
    backend = Reference.from_file(str(minilm / "tokenizer.json"))
    backend.no_padding()
    backend.enable_truncation(128, stride=32, strategy="only_second")
    expected, characters = [], []
    for encoding in backend.encode_batch([(question, text) for text in articles]):
        for window in (encoding, *encoding.overflowing):
            expected += window.ids
            sides = zip(window.sequence_ids, window.offsets, strict=True)
            characters += [offsets for side, offsets in sides if side == 1]
    assert found.examples.ids.tolist() == expected
    assert np.concatenate(found.characters).tolist() == [list(c) for c in characters]
