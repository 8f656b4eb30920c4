"""The CRF equals enumeration of all sequences, and its gradient finite differences."""

from itertools import product

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose
from tensorflow_or_skip import tf

from kerasft.layers.crf import CRF, FORBIDDEN, NO_TAG
from kerasft.objectives.spans import TagSet

TAGS = 5
MASKS = [
    [1],
    [1, 1],
    [0, 1, 1],
    [1, 0, 1, 1],
    [0, 1, 0, 0, 1],
    pytest.param([1, 1, 1, 1, 1, 1], marks=pytest.mark.slow),
    [0, 1, 1, 0, 1, 0],
    [0, 0, 0],
]


def new_crf(allowed=None, dtype="float64", seed=0):
    layer = CRF(TAGS, allowed, dtype=dtype)
    layer.build()
    random = np.random.default_rng(seed)
    for weight in layer.trainable_variables:
        weight.assign(random.normal(size=weight.shape))
    return layer


def batch_of(mask, rows=3, seed=1):
    random = np.random.default_rng(seed)
    logits = random.normal(size=(rows, len(mask), TAGS)) * 2
    tags = random.integers(0, TAGS, (rows, len(mask)))
    return logits, tags, np.tile(mask, (rows, 1))


def plain_score(layer, logits, tags):
    """Score of one sequence of steps that all count, added up step by step."""
    transitions, starts, ends = (np.array(w) for w in layer._weights())
    if not len(tags):
        return 0.0
    score = starts[tags[0]] + ends[tags[-1]]
    score += sum(logits[i, tag] for i, tag in enumerate(tags))
    return score + sum(transitions[a, b] for a, b in zip(tags, tags[1:], strict=False))


def enumerated(layer, logits):
    """Every sequence with its score."""
    sequences = list(product(range(TAGS), repeat=len(logits)))
    return sequences, np.array([plain_score(layer, logits, s) for s in sequences])


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("constrained", [False, True])
def test_partition_and_viterbi_equal_enumeration(mask, constrained):
    tag_set = TagSet(["O", "B-X", "I-X", "B-Y", "I-Y"], "IOB2")
    layer = new_crf(tag_set.allowed if constrained else None)
    logits, _, masks = batch_of(mask)
    partition = np.asarray(layer.log_partition(logits, masks))
    best, best_score = (np.asarray(part) for part in layer.decode(logits, masks))
    steps = np.flatnonzero(mask)
    for i in range(len(logits)):
        sequences, scores = enumerated(layer, logits[i, steps])
        top = scores.max()
        expected = top + np.log(np.exp(scores - top).sum())
        assert_allclose(partition[i], expected, rtol=1e-12, atol=1e-12)
        assert_allclose(best_score[i], top, rtol=1e-12)
        assert tuple(best[i, steps]) == sequences[int(scores.argmax())]
        assert (np.delete(best[i], steps) == NO_TAG).all()


@pytest.mark.parametrize("mask", MASKS)
def test_the_likelihood_is_the_share_of_the_sequence(mask):
    layer = new_crf()
    logits, tags, masks = batch_of(mask)
    ours = np.asarray(layer.log_likelihood(logits, tags, masks))
    steps = np.flatnonzero(mask)
    for i in range(len(logits)):
        sequences, scores = enumerated(layer, logits[i, steps])
        own = scores[sequences.index(tuple(tags[i, steps]))]
        expected = own - np.log(np.exp(scores).sum())
        assert_allclose(ours[i], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("constrained", [False, True])
@pytest.mark.parametrize("mask", [[1], [0, 1, 1], [1, 0, 1, 1], [0, 0]])
def test_marginals_equal_enumeration(mask, constrained):
    allowed = np.random.default_rng(2).random((TAGS + 1, TAGS + 1)) < 0.7
    layer = new_crf(allowed if constrained else None)
    logits, _, masks = batch_of(mask)
    found = np.asarray(layer.marginals(logits, masks))
    real = np.array(mask, bool)
    assert not found[:, ~real].any()
    for row in range(len(logits)):
        sequences, scores = enumerated(layer, logits[row, real])
        parts = np.exp(scores - scores.max())
        for place, marginals in enumerate(found[row, real]):
            at = np.array([sequence[place] for sequence in sequences])
            expected = np.bincount(at, parts, TAGS) / parts.sum()
            assert_allclose(marginals, expected, atol=1e-12)


def test_marginals_of_long_rows_lose_no_digits():
    logits, _, mask = batch_of([1] * 300)
    exact = new_crf().marginals(logits, mask)
    found = new_crf(dtype="float32").marginals(logits.astype("float32"), mask)
    assert_allclose(found, exact, atol=1e-6)


def test_labels_that_do_not_count_may_be_anything():
    layer = new_crf()
    logits, tags, masks = batch_of([0, 1, 1, 0])
    other = np.where(masks, tags, -100)
    ours, same = (layer.log_likelihood(logits, t, masks) for t in (tags, other))
    assert_allclose(ours, same, rtol=1e-12)


def test_gradients_equal_finite_differences():
    layer = new_crf()
    logits, tags, masks = batch_of([0, 1, 1, 0, 1])
    x = tf.Variable(logits)

    def value():
        return tf.reduce_sum(layer.log_likelihood(x, tags, masks))

    with tf.GradientTape() as tape:
        loss = value()
    variables = [x, *(weight.value for weight in layer.trainable_variables)]
    for variable, gradient in zip(
        variables, tape.gradient(loss, variables), strict=True
    ):
        start, ours = variable.numpy(), np.asarray(gradient)
        for place in np.ndindex(start.shape):
            ends = []
            for step in (1e-5, -1e-5):
                moved = start.copy()
                moved[place] += step
                variable.assign(moved)
                ends.append(float(value()))
            variable.assign(start)
            assert_allclose(ours[place], (ends[0] - ends[1]) / 2e-5, atol=1e-8)


def test_no_forbidden_sequence_comes_out():
    tag_set = TagSet(["O", "B-X", "I-X", "E-X", "S-X"], "IOBES")
    layer = new_crf(tag_set.allowed, dtype="float32")
    logits = np.random.default_rng(2).normal(size=(200, 12, TAGS)) * 5
    best, scores = layer.decode(logits, np.ones((200, 12)))
    assert float(np.min(scores)) > FORBIDDEN / 2
    for row in np.asarray(best).tolist():
        covered = sum(end - start for _, start, end in tag_set.entities(row))
        assert covered == sum(tag != 0 for tag in row)


@pytest.mark.parametrize("jit", [False, True])
def test_it_runs_compiled(jit):
    layer = new_crf(dtype="float32")
    logits, tags, masks = batch_of([1, 0, 1, 1])
    logits = logits.astype("float32")

    @tf.function(jit_compile=jit)
    def run(logits):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer.log_likelihood(logits, tags, masks))
        weights = [weight.value for weight in layer.trainable_variables]
        return loss, tape.gradient(loss, weights), layer.decode(logits, masks)[0]

    loss, gradients, best = run(tf.constant(logits))
    assert_allclose(
        loss, tf.reduce_sum(layer.log_likelihood(logits, tags, masks)), 1e-5
    )
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    assert (best.numpy() == np.asarray(layer.decode(logits, masks)[0])).all()


def test_half_precision_logits_are_scored_in_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = CRF(TAGS)
        layer.build()
    finally:
        keras.config.set_dtype_policy("float32")
    logits, _, masks = batch_of([1] * 6)
    partition = layer.log_partition(keras.ops.cast(logits, "bfloat16"), masks)
    assert keras.backend.standardize_dtype(partition.dtype) == "float32"
