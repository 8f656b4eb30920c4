"""Loss and scores of triples against the formulas, pair by pair."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose

from kerasft.layers.span_pairs import GlobalPointer, TripleHead
from kerasft.objectives.relation_scores import RelationScores
from kerasft.objectives.triple_loss import PairScores, TripleLoss, true_maps

RELATIONS, LENGTH = 3, 6


@pytest.fixture
def triples():
    random = np.random.default_rng(0)
    array = np.full((4, 5, 5), -1, "int32")
    for row, count in zip(array, (5, 3, 0, 1), strict=True):
        for triple in row[:count]:
            a, b = np.sort(random.integers(0, LENGTH, 2))
            c, d = np.sort(random.integers(0, LENGTH, 2))
            triple[:] = a, b, random.integers(0, RELATIONS), c, d
    array[0, 1, :2] = array[0, 0, :2]  # Two triples of one subject.
    return array


def by_hand(triples):
    maps = np.zeros((len(triples), 2 + 2 * RELATIONS, LENGTH, LENGTH))
    for row, some in enumerate(triples):
        for a, b, relation, c, d in some[some[:, 0] >= 0]:
            maps[row, 0, a, b] = maps[row, 1, c, d] = 1
            maps[row, 2 + relation, a, c] = 1
            maps[row, 2 + RELATIONS + relation, b, d] = 1
    return maps


def logits_like(maps, seed=1):
    return np.random.default_rng(seed).normal(0, 2, maps.shape).astype("float32")


def test_maps_hold_the_pairs_of_the_triples(triples):
    assert_allclose(true_maps(triples, RELATIONS, LENGTH), by_hand(triples))


def test_the_loss_is_the_formula_of_each_map(triples):
    right = by_hand(triples)
    logits = logits_like(right)
    logits[:, :2, 3, 1] = -30_000.0  # A pair that is not there.
    right[:, :2, 3, 1] = 0
    expected = np.zeros(len(triples))
    for row in range(len(triples)):
        for hot, s in zip(right[row], logits[row].astype("float64"), strict=True):
            expected[row] += np.log1p(np.exp(s[hot == 0]).sum())
            expected[row] += np.log1p(np.exp(-s[hot == 1]).sum())
    found = TripleLoss(RELATIONS).call(triples, logits)
    assert_allclose(found, expected, rtol=1e-5)


def test_its_slope_has_no_nan_where_logits_are_huge(triples):
    from tensorflow_or_skip import tf

    logits = tf.Variable(logits_like(by_hand(triples)) * 1e4)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(TripleLoss(RELATIONS).call(triples, logits))
    assert np.isfinite(tape.gradient(loss, logits)).all()


def test_scores_count_pairs_of_all_batches(triples):
    metric, counts = PairScores(RELATIONS), np.zeros(3)
    for half in (triples[:2], triples[2:]):
        right = by_hand(half)
        logits = logits_like(right)
        metric.update_state(half, logits)
        guess = logits > 0
        counts += [(right * guess).sum(), guess.sum(), right.sum()]
    hits, predicted, actual = counts
    found = {name: float(value) for name, value in metric.result().items()}
    assert found == pytest.approx(
        {
            "pair_precision": hits / predicted,
            "pair_recall": hits / actual,
            "pair_f1": 2 * hits / (predicted + actual),
        }
    )


def test_a_pointer_is_the_formula_of_each_pair():
    keras.utils.set_random_seed(0)
    hidden = np.random.default_rng(0).normal(size=(2, LENGTH, 8)).astype("float32")
    for spans in (False, True):
        layer = GlobalPointer(3, 4, spans, "glorot_uniform")
        layer.build(hidden.shape)
        for weight in layer.weights:
            weight.assign(keras.random.normal(weight.shape))
        mask = np.array([[1] * LENGTH, [1] * 4 + [0] * 2])
        found = np.asarray(layer(hidden, mask))
        both = hidden @ np.asarray(layer.dense.kernel) + np.asarray(layer.dense.bias)
        bias = both @ np.asarray(layer.bias.kernel) + np.asarray(layer.bias.bias)
        angles = np.outer(np.arange(LENGTH), 10_000.0 ** (-np.arange(0, 4, 2) / 4))
        turn = np.exp(1j * angles) if spans else np.ones_like(angles)
        q, k = (
            (x[..., :2] + 1j * x[..., 2:]) * turn
            for x in (both[..., :4], both[..., 4:])
        )
        for row, m, n in np.ndindex(2, LENGTH, LENGTH):
            hidden_pair = not (mask[row, m] and mask[row, n]) or (spans and n < m)
            if hidden_pair:
                assert (found[row, :, m, n] < -1e4).all()
                continue
            product = (q[row, m] * k[row, n].conj()).real.sum() / 2
            expected = product + bias[row, m, :3] + bias[row, n, 3:]
            assert_allclose(found[row, :, m, n], expected, rtol=1e-4, atol=1e-4)


def test_a_triple_head_has_two_maps_and_two_of_each_relation():
    head = TripleHead(RELATIONS, 0.0, "glorot_uniform", size=4)
    head.build((None, None, 8))
    hidden = np.zeros((2, LENGTH, 8), "float32")
    shape = (2, 2 + 2 * RELATIONS, LENGTH, LENGTH)
    assert tuple(head(hidden, attention_mask=np.ones((2, LENGTH))).shape) == shape


def test_relations_are_scored_as_scikit_learn_does_without_one_class():
    from sklearn.metrics import precision_recall_fscore_support

    random = np.random.default_rng(0)
    labels, logits = random.integers(0, 4, 50), random.normal(size=(50, 4))
    metric = RelationScores(nothing=2)
    metric.update_state(labels[:20], logits[:20])
    metric.update_state(labels[20:], logits[20:])
    expected = precision_recall_fscore_support(
        labels, logits.argmax(1), labels=[0, 1, 3], average="micro"
    )[:3]
    found = [float(metric.result()[name]) for name in ("precision", "recall", "f1")]
    assert found == pytest.approx(expected)
