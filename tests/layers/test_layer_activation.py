"""Every activation equals the one `transformers` has under that name."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from transformers.activations import ACT2FN

from kerasft._registry import UnknownNameError
from kerasft.layers.activation import ACTIVATIONS


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_equals_torchs_of_that_name(name):
    x = np.linspace(-8, 8, 2001, dtype="float32")
    expected = ACT2FN[name](torch.tensor(x)).numpy()
    assert_allclose(ACTIVATIONS[name](x), expected, rtol=0, atol=2e-6)


def test_an_unknown_activation_names_the_known():
    with pytest.raises(UnknownNameError, match="gelu_new"):
        ACTIVATIONS["gelu_nwe"]
