"""Losses of sentence vectors against torch, values and gradients."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from tensorflow_or_skip import tf
from torch.nn import functional as reference

from kerasft.objectives import similarity

RANDOM = np.random.default_rng(0)
LEFT, RIGHT, OTHER = RANDOM.normal(size=(3, 6, 8)).astype("float32")
HARD = RANDOM.normal(size=(9, 8)).astype("float32")
SCORES = RANDOM.uniform(-1, 1, 6).astype("float32")
SAME = np.array([1, 0, 1, 1, 0, 0])
CLASSES = np.array([0, 1, 0, 2, 1, 0])


def torch_ranking(left, *candidates, scale=20.0):
    candidates = torch.cat(candidates)
    logits = torch.stack(
        [reference.cosine_similarity(one[None], candidates) for one in left]
    )
    own = torch.arange(len(left))
    return reference.cross_entropy(logits * scale, own, reduction="none")


def torch_contrastive(left, right):
    distance = 1 - reference.cosine_similarity(left, right)
    same = torch.tensor(SAME)
    apart = torch.relu(0.5 - distance)
    return 0.5 * torch.where(same == 1, distance**2, apart**2)


def torch_cosine_error(left, right):
    return (reference.cosine_similarity(left, right) - torch.tensor(SCORES)) ** 2


def torch_triplet(left, right, other):
    loss = torch.nn.TripletMarginLoss(5.0, eps=0.0, reduction="none")
    return loss(left, right, other)


def torch_class_ranking(vectors):
    """Of each row the mean over its class of -log chance among all the others."""
    logits = 20 * torch.stack(
        [reference.cosine_similarity(one[None], vectors) for one in vectors]
    )
    values = []
    for i, label in enumerate(CLASSES):
        others = [j for j in range(len(CLASSES)) if j != i]
        chances = torch.log_softmax(logits[i, others], 0)
        same = [k for k, j in enumerate(others) if CLASSES[j] == label]
        values.append(-chances[same].mean() if same else 0 * chances.sum())
    return torch.stack(values)


CASES = {
    "ranking": (similarity.ranking, torch_ranking, (LEFT, RIGHT)),
    "hard negatives": (similarity.ranking, torch_ranking, (LEFT, RIGHT, HARD)),
    "both ways": (
        similarity.symmetric_ranking,
        lambda a, b: (torch_ranking(a, b) + torch_ranking(b, a)) / 2,
        (LEFT, RIGHT),
    ),
    "triplet": (similarity.triplet, torch_triplet, (LEFT, RIGHT, OTHER)),
    "cosine": (
        lambda a, b: similarity.cosine_error(a, b, SCORES),
        torch_cosine_error,
        (LEFT, RIGHT),
    ),
    "classes": (
        lambda vectors: similarity.class_ranking(vectors, CLASSES),
        torch_class_ranking,
        (LEFT,),
    ),
    "contrastive": (
        lambda a, b: similarity.contrastive(a, b, SAME),
        torch_contrastive,
        (LEFT, LEFT + 0.7 * RIGHT),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_equal_torch(case):
    ours, theirs, vectors = CASES[case]
    inputs = [tf.constant(vector) for vector in vectors]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        values = ours(*inputs)
        total = tf.reduce_sum(values)
    leaves = [torch.tensor(vector, requires_grad=True) for vector in vectors]
    expected = theirs(*leaves)
    expected.sum().backward()
    assert values.shape == (6,)
    assert_allclose(values, expected.detach(), rtol=1e-5, atol=1e-6)
    for gradient, leaf in zip(tape.gradient(total, inputs), leaves, strict=True):
        assert_allclose(gradient, leaf.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_the_same_vector_everywhere_has_a_finite_slope(case):
    ours, _, vectors = CASES[case]
    for vector in (np.ones(8, "float32"), np.zeros(8, "float32")):
        inputs = [tf.constant(np.tile(vector, (len(v), 1))) for v in vectors]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            total = tf.reduce_sum(ours(*inputs))
        assert np.isfinite(total)
        assert all(np.isfinite(g).all() for g in tape.gradient(total, inputs))


def test_half_precision_vectors_are_compared_in_float32():
    half = tf.cast(LEFT, "bfloat16")
    assert similarity.cosine(half, half).dtype == tf.float32
    assert_allclose(similarity.cosine(half, half), 1.0, rtol=1e-6)
