"""Conversations: read from every format, and made examples that lose nothing unseen."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_chats import TEMPLATES, save_chat_tokenizer
from transformers import AutoTokenizer

import kerasft as kft
from kerasft._errors import DataError, SettingsError
from kerasft.data import conversing
from kerasft.data.chat_tokens import ChatTokenizer
from kerasft.data.conversing import conversation_examples, without_first_turn
from kerasft.data.packing import IGNORED, one_per_row, pack_examples
from kerasft.data.prompts import ChatTemplate
from kerasft.data.tokenizer import Tokenizer


def said(*texts, system=None):
    """Messages of user and assistant in turn."""
    roles = ["user", "assistant"] * len(texts)
    first = [] if system is None else [{"role": "system", "content": system}]
    return first + [
        {"role": role, "content": text}
        for role, text in zip(roles, texts, strict=False)
    ]


ROWS = {
    "messages": {"messages": said("hi", "ho", system="be kind")},
    "sharegpt": {
        "system": "be kind",
        "conversations": [
            {"from": "human", "value": "hi"},
            {"from": "gpt", "value": "ho"},
        ],
    },
    "alpaca": {"instruction": "hi", "input": "", "output": "ho", "system": "be kind"},
    "pairs": {"prompt": "hi", "completion": "ho", "system": "be kind"},
}


def write(path, rows):
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    else:
        path.write_text("\n".join(map(json.dumps, rows)))
    return path


# --- reading


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet"])
@pytest.mark.parametrize("kind", ROWS)
def test_every_kind_of_row_is_read_from_every_file(tmp_path, kind, suffix):
    path = write(tmp_path / f"rows{suffix}", [ROWS[kind], ROWS[kind]])
    rows = kft.read_conversations(path)
    assert rows[1] == {"messages": said("hi", "ho", system="be kind")}
    assert len(rows) == 2 and rows.label_type == "none" and not rows.empty_texts
    assert rows.where(1) == f"{path}:2" if suffix == ".jsonl" else f"{path}[1]"
    assert rows.texts(0, 1) == ["system: be kind\nuser: hi\nassistant: ho"]
    assert rows.select([1]).messages(0) == rows.messages(1)
    assert kft.from_conversations([ROWS[kind]] * 2).fingerprint == rows.fingerprint


def test_kinds_may_be_mixed_and_messages_given_alone():
    rows = kft.from_conversations([*ROWS.values(), said("hi", "ho", system="be kind")])
    assert len({str(row) for row in rows.column("messages")}) == 1


def test_an_alpaca_input_follows_its_instruction():
    row = {"instruction": "Add.", "input": "1 and 2", "output": "3"}
    messages = kft.from_conversations([row]).messages(0)
    assert messages == said("Add.\n\n1 and 2", "3")


def test_prompts_may_have_other_names_and_no_answers(tmp_path):
    path = write(tmp_path / "rows.jsonl", [{"q": "hi", "a": "ho", "prompt": "no"}])
    rows = kft.read_conversations(path, prompt="q", completion="a")
    assert rows.messages(0) == said("hi", "ho")
    rows = kft.from_conversations([said("hi"), said("hi", "ho", "hm")], answers=False)
    assert rows.messages(0) == said("hi")


BAD = {
    "no kind": (
        {"text": "hi"},
        "the keys 'text', expected those of one kind: messages",
    ),
    "two kinds": (ROWS["pairs"] | ROWS["alpaca"], "expected those of one kind"),
    "half a kind": ({"prompt": "hi", "completion": None}, "those of one kind"),
    "no list": ({"messages": "hi"}, "the messages 'hi', expected a list"),
    "no message": ({"messages": ["hi"]}, "the message 'hi', expected a message of ro"),
    "no content": ({"messages": [{"role": "user"}]}, "the keys 'role', expected a me"),
    "no text": ({"prompt": "hi", "completion": 3}, "3 in column 'content of assis"),
    "blank": ({"prompt": "hi", "completion": " "}, "a blank message of the assistant"),
    "empty": ({"messages": []}, "no messages, expected one that begins with the user"),
    "a role": ({"messages": [{"role": "me", "content": "a"}]}, "the role 'me', expec"),
    "a sender": (
        {"conversations": [{"from": "me", "value": "a"}]},
        "a message from 'me', expected from one of human, gpt",
    ),
    "who begins": ({"messages": said("a", "b")[1:]}, "that begins with assistant"),
    "unanswered": ({"messages": said("a")}, "no message of the assistant.*answers=F"),
    "a call": (
        {"messages": [{"role": "user", "content": "a", "tool_calls": [1]}]},
        "a message with tool_calls, expected messages of text alone",
    ),
    "half a pair": ({"prompt": "\ud800", "completion": "a"}, "half a surrogate pair"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_row_is_told_with_its_line(tmp_path, name):
    row, message = BAD[name]
    path = write(tmp_path / "rows.jsonl", [ROWS["pairs"], row])
    with pytest.raises(DataError, match="rows.jsonl:2: .*" + message):
        kft.read_conversations(path)
    rows = kft.read_conversations(path, on_bad_rows="skip")
    assert len(rows) == 1 and rows.rejected == 1
    with pytest.raises(DataError, match=r"conversations\[0\]: .*" + message):
        kft.from_conversations([row])


def test_all_bad_rows_are_told_at_once(tmp_path):
    path = write(tmp_path / "rows.jsonl", [row for row, _ in BAD.values()])
    with pytest.raises(DataError, match=f"{len(BAD)} bad rows, 0 good"):
        kft.read_conversations(path)


@pytest.mark.parametrize(
    "text, message",
    [
        ('{"messages": []}', "a JSON object, expected a list of objects. .*jsonl"),
        ("[1, ]", "a trailing comma at character"),
        ("[" * 100_000, "nested too deeply|cut off"),
    ],
)
def test_a_json_file_that_is_no_list_is_refused(tmp_path, text, message):
    path = tmp_path / "rows.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        kft.read_conversations(path)


def test_a_file_that_is_no_parquet_is_refused(tmp_path):
    path = tmp_path / "rows.parquet"
    path.write_text("hi")
    with pytest.raises(DataError, match="Cannot read .*rows.parquet as Parquet"):
        kft.read_conversations(path)


# --- examples


@pytest.fixture(scope="module")
def chat(tmp_path_factory):
    def make(most=512, template="marked"):
        folder = tmp_path_factory.mktemp("chat")
        save_chat_tokenizer(folder, template=TEMPLATES[template])
        tokenizer = Tokenizer.from_pretrained(folder, most)
        made = ChatTokenizer(tokenizer, ChatTemplate.from_files(tokenizer.files))
        return made, AutoTokenizer.from_pretrained(folder)

    return make


MANY = [
    said("What is the capital of France?", "Paris."),
    said("a", "The quick brown fox.", "b", " jumps ", "c", system="be kind"),
]


def test_examples_count_the_words_that_the_reference_marks(chat):
    ours, reference = chat()
    made = conversation_examples(kft.from_conversations(MANY), ours)
    examples = made.examples
    assert examples.rows.tolist() == [0, 1] and made.told == ""
    for i, messages in enumerate(MANY):
        expected = reference.apply_chat_template(
            messages, return_dict=True, return_assistant_tokens_mask=True
        )
        here = slice(examples.starts[i], examples.stops[i])
        assert examples.ids[here].tolist() == expected["input_ids"]
        assert examples.scored[here].tolist() == list(
            map(bool, expected["assistant_masks"])
        )


@pytest.mark.parametrize(
    "loss_on, expected",
    [
        ("assistant", ["The quick brown fox.<|im_end|> jumps <|im_end|>"]),
        ("completion", [" jumps <|im_end|>"]),
    ],
)
def test_the_loss_is_on_what_was_asked_for(chat, loss_on, expected):
    ours, _ = chat()
    rows = kft.from_conversations(MANY[1:])
    examples = conversation_examples(rows, ours, loss_on).examples
    for make in (pack_examples, one_per_row):
        _, labels = make(examples, 512)(np.array([0]), 512)
        scored = labels[labels != IGNORED].tolist()
        backend = ours.tokenizer.backend
        assert [backend.decode(scored, skip_special_tokens=False)] == expected
    everything = conversation_examples(rows, ours, "all").examples
    _, labels = one_per_row(everything, 512)(np.array([0]), 512)
    assert (labels != IGNORED).sum() == len(everything.ids) - 1


def test_a_long_conversation_loses_whole_turns_at_its_beginning(chat):
    ours, _ = chat()
    long = said("one " * 9, "two", "three " * 9, "four", "five", "six", system="kind")
    short = said("a", "b")
    rows = kft.from_conversations([long, short])
    whole = len(ours(long).ids)
    for most in range(5, whole + 1):
        cut, _ = chat(most)
        if len(cut(short).ids) > most:
            with pytest.raises(DataError, match=f"all are longer than {most} tokens"):
                conversation_examples(rows, cut)
            continue
        made = conversation_examples(rows, cut)
        examples = made.examples
        assert (examples.lengths <= most).all() and made.total == 2
        ids = examples.ids[examples.starts[0] : examples.stops[0]].tolist()
        options = [long, long[:1] + long[3:], long[:1] + long[5:]]
        fitting = [one for one in options if len(ours(one).ids) <= most]
        if fitting:
            assert ids == ours(fitting[0]).ids.tolist()
            assert made.shortened == (fitting[0] is not long) and not made.left_out
        else:
            assert examples.rows.tolist() == [1] and made.left_out == 1
            assert made.told.endswith("0 shortened by their first turns, 1 left out.")


@given(st.lists(st.sampled_from(["system", "user", "assistant", "tool"])))
def test_turns_are_left_out_up_to_the_next_of_the_user(roles):
    messages = [{"role": role, "content": str(i)} for i, role in enumerate(roles)]
    shorter = without_first_turn(messages)
    if roles.count("user") < 2:
        assert shorter is None
        return
    second = [i for i, role in enumerate(roles) if role == "user"][1]
    expected = [one for one in messages[:second] if one["role"] == "system"]
    assert shorter == expected + messages[second:]


def test_too_long_ones_may_be_left_out_or_refused(chat):
    ours, _ = chat(len(chat()[0](said("a", "b")).ids))
    rows = kft.from_conversations([said("one " * 9, "two", "b", "c"), said("a", "b")])
    made = conversation_examples(rows, ours, too_long="leave_out")
    assert made.examples.rows.tolist() == [1] and made.left_out == 1
    with pytest.raises(
        DataError, match=r"1 of 2 .*\n.*conversations\[0\]: a conv.*at most"
    ):
        conversation_examples(rows, ours, too_long="error")


def test_conversations_that_the_template_refuses_are_all_told(chat):
    ours, _ = chat(template="llama2")
    bad = [*said("a", "b"), {"role": "assistant", "content": "c"}]
    rows = kft.from_conversations([bad] * 30 + [said("a", "b")])
    message = r"(?s)30 of 31 conversations .*conversations\[0\]: .*alternate.*and 10 m"
    with pytest.raises(DataError, match=message):
        conversation_examples(rows, ours)


def test_examples_from_the_cache_equal_those_in_memory(chat, tmp_path, monkeypatch):
    monkeypatch.setenv("KERASFT_CACHE", str(tmp_path))
    ours, _ = chat()
    rows = kft.from_conversations(MANY)
    fresh = conversation_examples(rows, ours).examples
    monkeypatch.setattr(conversing, "CACHED_FROM", 2)
    monkeypatch.setattr(conversing, "CHUNK", 1)
    conversation_examples(rows, ours)
    others = conversation_examples(rows, ours, "all").examples
    monkeypatch.setattr(conversing, "_example", None)  # It is not called again.
    kept = conversation_examples(rows, ours).examples
    assert len(kept.files) == 2
    for name in ("ids", "starts", "stops", "scored", "rows"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(fresh, name))
    assert others.scored.all()


def test_what_is_not_known_is_refused(chat):
    ours, _ = chat()
    rows = kft.from_conversations(MANY)
    with pytest.raises(SettingsError, match="loss_on is 'user'; known: assistant"):
        conversation_examples(rows, ours, "user")
    with pytest.raises(SettingsError, match="too_long is 'cut'; known: shorten"):
        conversation_examples(rows, ours, too_long="cut")
    with pytest.raises(DataError, match="no rows"):
        conversation_examples(rows.select([]), ours)


def test_pairs_may_be_joined_as_they_are(chat):
    ours, _ = chat()
    plain = ChatTemplate.plain(ours.tokenizer.files)
    text, spans = plain.spans(said("Once upon", " a time."))
    assert text == "Once upon a time.</s>" and spans == [(9, 21)]
