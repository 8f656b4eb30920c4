"""Windows in the graph are the examples that training makes of the same texts."""

import numpy as np
import pytest
import tensorflow as tf
import tokenizers
from numpy.testing import assert_array_equal
from tiny_tokenizers import wordpiece
from tokenizers import processors

from kerasft._errors import SettingsError
from kerasft.data.pieces import cut
from kerasft.data.tokenizer import Tokenizer
from kerasft.data.windows import frame_of, joined, overlap_of, owned
from kerasft.serving.offsets import OffsetGraph
from kerasft.serving.windowed import pair_windows, text_windows

LENGTH = 16


@pytest.fixture(scope="module")
def graph():
    return OffsetGraph(wordpiece_with_padding(), LENGTH)


def wordpiece_with_padding():
    own = wordpiece()
    own.enable_padding()
    return own


def tokenizer_of(graph):
    own = tokenizers.Tokenizer.from_str(graph.reference.tokenizer.to_str())
    own.no_padding()
    own.encode_special_tokens = True
    return Tokenizer(own, graph.max_length, graph.reference.pad_id, {})


def texts_of(count, longest, seed):
    chance = np.random.default_rng(seed)
    return [
        " ".join(chance.choice(list("abcxyz,."), chance.integers(longest)))
        for _ in range(count)
    ]


def compare(found, examples, owners, tokens, answers):
    """Rows of the graph against examples of training and the numbers of tokens."""
    inputs = {name: tensor.numpy() for name, tensor in found.inputs.items()}
    lengths = inputs["attention_mask"].sum(1)
    assert_array_equal(lengths, examples.lengths)
    assert inputs["input_ids"].shape[1] == lengths.max() <= LENGTH
    real = inputs["attention_mask"] > 0
    assert_array_equal(inputs["input_ids"][real], examples.ids)
    assert set(inputs["input_ids"][~real]) <= {0}
    if examples.second_starts is not None:
        seconds = np.arange(real.shape[1]) >= examples.second_starts[:, None]
        assert_array_equal(inputs["token_type_ids"], seconds & real)
    assert_array_equal(found.text, owners)
    assert_array_equal(found.tokens.numpy()[real], np.concatenate(tokens))
    assert_array_equal(found.answers.numpy()[real], np.concatenate(answers))
    assert (found.tokens.numpy()[~real] == -1).all()
    assert not found.answers.numpy()[~real].any()


def expected_windows(parts, frame, spans):
    """(texts, tokens, answers) of each window of the last of `parts`."""
    before = sum(map(len, [*frame.ids[:-1], *parts[:-1]]))
    for start, stop, first, last in spans:
        places = np.arange(start, stop)
        none = np.full(before, -1), np.full(len(frame.ids[-1]), -1)
        tokens = np.concatenate([none[0], places, none[1]])
        yield (
            (*parts[:-1], parts[-1][start:stop]),
            tokens,
            ((first <= tokens) & (tokens < last) & (tokens >= 0)),
        )


@pytest.mark.parametrize("overlap", [None, 0, 1, 5, 13])
def test_texts_are_cut_as_for_training(overlap, graph):
    texts = ["", *texts_of(40, 60, seed=0), ""]
    pieces = cut(tokenizer := tokenizer_of(graph), texts)
    frame = frame_of(tokenizer)
    room = LENGTH - frame.size
    spans = overlap_of(overlap, room)
    rows = []
    for i in range(len(texts)):
        ids = pieces.ids[pieces.of(i)]
        windows = expected_windows((ids,), frame, owned(len(ids), room, spans))
        rows += [(i, *window) for window in windows]
    owners, parts, tokens, answers = zip(*rows, strict=True)
    windows = tf.function(
        lambda texts: text_windows(graph, graph.pieces(texts), overlap)
    )
    found = windows(tf.constant(texts))
    compare(found, joined(parts, frame), owners, tokens, answers)


@pytest.mark.parametrize("overlap", [None, 0, 3, 6])
def test_pairs_are_cut_as_for_training(overlap, graph):
    questions = texts_of(80, 16, seed=1)
    contexts = [*texts_of(40, 60, seed=2), *texts_of(38, 6, seed=3), "", ""]
    tokenizer = tokenizer_of(graph)
    firsts, seconds = cut(tokenizer, questions), cut(tokenizer, contexts)
    frame = frame_of(tokenizer, pair=True)
    room = LENGTH - frame.size
    rows = []
    for i in range(len(questions)):
        context = seconds.ids[seconds.of(i)]
        most = min(room - 1, max(room // 2, room - len(context)))
        question = firsts.ids[firsts.of(i)][:most]
        left = room - len(question)
        shared = left // 4 if overlap is None else min(overlap, left - 1)
        spans = owned(len(context), left, shared)
        windows = expected_windows((question, context), frame, spans)
        rows += [(i, *window) for window in windows]
    owners, parts, tokens, answers = zip(*rows, strict=True)
    found = pair_windows(
        graph, graph.pieces(questions), graph.pieces(contexts), overlap
    )
    compare(found, joined(parts, frame), owners, tokens, answers)
    assert len(rows) > len(questions)


def test_every_token_is_brought_back_to_its_characters_once(graph):
    texts = texts_of(20, 60, seed=4)
    pieces = graph.pieces(texts)
    found = text_windows(graph, pieces, 4)
    starts, ends = pieces.starts.to_list(), pieces.ends.to_list()
    told = [[] for _ in texts]
    for i, tokens, mine in zip(
        *(part.numpy() for part in (found.text, found.tokens, found.answers)),
        strict=True,
    ):
        told[i] += [texts[i][starts[i][t] : ends[i][t]] for t in tokens[mine]]
    assert told == [text.split() for text in texts]


def test_the_template_may_be_any(graph):
    own = wordpiece_with_padding()
    own.post_processor = processors.TemplateProcessing(
        single="[CLS] [CLS] $A:1 [SEP]",
        pair="[SEP] $B:1 [SEP] $A [MASK]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3), ("[MASK]", 4)],
    )
    other = OffsetGraph(own, 7)
    a, b = other.pieces(["a b c d e f"]), other.pieces(["x y z"])
    found = text_windows(other, a, 1)
    assert_array_equal(
        found.tokens, [[-1, -1, 0, 1, 2, 3, -1], [-1, -1, 3, 4, 5, -1, -1]]
    )
    assert_array_equal(found.inputs["token_type_ids"][0], [0, 0, 1, 1, 1, 1, 0])
    found = pair_windows(other, a, b, 0)
    assert_array_equal(
        found.tokens, [[-1, 0, 1, -1, -1, -1, -1], [-1, 2, -1, -1, -1, -1, -1]]
    )


def test_no_text_has_no_window(graph):
    none = graph.pieces(tf.constant([], tf.string))
    for found in (text_windows(graph, none), pair_windows(graph, none, none)):
        assert found.text.shape == (0,)
        assert found.inputs["input_ids"].shape[0] == 0


@pytest.mark.parametrize("overlap", [-1, 14])
def test_windows_that_do_not_move_on_are_refused(overlap, graph):
    pieces = graph.pieces(["a"])
    with pytest.raises(SettingsError, match="Give 0 to 13"):
        text_windows(graph, pieces, overlap)
    with pytest.raises(SettingsError, match="Give 0 to 6"):
        pair_windows(graph, pieces, pieces, overlap)


def test_unlike_numbers_of_texts_are_refused(graph):
    many, one = graph.pieces(["a", "b"]), graph.pieces(["a"])
    for pair in ((one, many), (many, one)):
        for windows in (pair_windows, tf.function(pair_windows)):
            with pytest.raises(tf.errors.InvalidArgumentError, match="for each second"):
                windows(graph, *pair)


def test_a_saved_model_gives_the_same_windows(graph, tmp_path):
    def windows(question, context):
        return pair_windows(graph, graph.pieces(question), graph.pieces(context))

    module = tf.Module()
    module.graph = graph
    module.windows = tf.function(windows, [tf.TensorSpec([None], tf.string)] * 2)
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    texts = texts_of(10, 6, seed=5), texts_of(10, 60, seed=6)
    found = loaded.windows(*map(tf.constant, texts))
    tf.nest.map_structure(assert_array_equal, tuple(found), tuple(windows(*texts)))
