"""R-Drop: the formula, and two passes in the train step."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from kerasft._errors import SettingsError
from kerasft.objectives.consistency import RDrop
from kerasft.objectives.losses import BinaryCrossEntropy, CrossEntropy, SquaredError

RANDOM = np.random.default_rng(0)
FIRST, SECOND = RANDOM.normal(0, 2, (2, 6, 4)).astype("float32")


def test_of_single_labels_it_is_the_papers_formula():
    labels = np.array([0, 1, 2, 3, -100, 1])
    one, other = (torch.tensor(x).log_softmax(-1) for x in (FIRST, SECOND))
    loss = torch.nn.functional.nll_loss
    known = torch.tensor(labels).clamp(min=0)
    nll = [loss(x, known, reduction="none") for x in (one, other)]
    kl = torch.nn.functional.kl_div
    apart = [
        kl(a, b, log_target=True, reduction="none").sum(-1)
        for a, b in ((one, other), (other, one))
    ]
    expected = sum(nll) / 2 + 0.7 * sum(apart) / 2
    found = RDrop(CrossEntropy(), 0.7).of_two(labels, FIRST, SECOND)
    scored = labels >= 0
    assert_allclose(np.asarray(found)[scored], expected[scored], atol=1e-5)
    weights = RDrop(CrossEntropy(), 0.7).item_weights(labels)
    assert_allclose(weights, scored)


def test_of_many_labels_each_class_is_compared_by_itself():
    labels = RANDOM.integers(0, 2, (6, 4)).astype("float32")
    one, other = torch.tensor(FIRST), torch.tensor(SECOND)
    p, q = one.sigmoid(), other.sigmoid()
    both = [
        a * (a / b).log() + (1 - a) * ((1 - a) / (1 - b)).log()
        for a, b in ((p, q), (q, p))
    ]
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    losses = [bce(x, torch.tensor(labels), reduction="none") for x in (one, other)]
    expected = sum(losses) / 2 + 2.0 * sum(both) / 2
    found = RDrop(BinaryCrossEntropy(), 2.0).of_two(labels, FIRST, SECOND)
    assert_allclose(found, expected, atol=1e-5)


def test_two_equal_passes_cost_what_one_does():
    labels = np.arange(4)
    loss = CrossEntropy()
    found = RDrop(loss, 5.0).of_two(labels, FIRST[:4], FIRST[:4])
    assert_allclose(found, loss.call(labels, FIRST[:4]), atol=1e-6)
    assert_allclose(RDrop(loss, 5.0)(labels, FIRST[:4]), loss(labels, FIRST[:4]))


def test_other_losses_and_weights_are_refused():
    with pytest.raises(SettingsError, match="not with regression"):
        RDrop(SquaredError(), 1.0)
    with pytest.raises(SettingsError, match="rdrop_alpha is -1"):
        RDrop(CrossEntropy(), -1)
