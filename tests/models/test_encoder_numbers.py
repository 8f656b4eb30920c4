"""Numbers of the config that one formula shares: activation, epsilon, dtype."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose
from tiny_encoders import (
    assert_same_states,
    batch_for,
    new_backbone,
    run_torch,
    save_torch,
    torch_model,
)

from kerasft.models import Backbone


@pytest.fixture(params=["bert", "distilbert"])
def model_type(request):
    return request.param


@pytest.mark.parametrize(
    "activation",
    [
        "gelu_new",
        "gelu_fast",
        "gelu_pytorch_tanh",
        "quick_gelu",
        "relu",
        "silu",
        "tanh",
    ],
)
def test_every_activation_equals_torch(model_type, activation, tmp_path):
    field = "activation" if model_type == "distilbert" else "hidden_act"
    model = torch_model(model_type, **{field: activation})
    batch = batch_for(model_type)
    backbone = Backbone.from_pretrained(save_torch(model, tmp_path))
    expected = run_torch(model, batch).last_hidden_state
    assert_same_states(backbone(batch), expected, batch["attention_mask"])


def test_the_norms_epsilon_is_the_configs(model_type, tmp_path):
    model = torch_model(model_type, layer_norm_eps=0.1)
    batch = batch_for(model_type)
    backbone = Backbone.from_pretrained(save_torch(model, tmp_path))
    expected = run_torch(model, batch).last_hidden_state
    assert_same_states(backbone(batch), expected, batch["attention_mask"])


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_stays_near_and_finite(model_type, policy, tmp_path):
    exact, batch = new_backbone(model_type), batch_for(model_type)
    exact.save_pretrained(tmp_path / "saved")
    keras.config.set_dtype_policy(policy)
    try:
        half = Backbone.from_pretrained(tmp_path / "saved")
        states = np.asarray(keras.ops.cast(half(batch), "float32"))
    finally:
        keras.config.set_dtype_policy("float32")
    assert half.block_0.attention.q_proj.kernel.dtype == "float32"
    assert np.isfinite(states).all()
    real = batch["attention_mask"] == 1
    assert_allclose(states[real], np.asarray(exact(batch))[real], atol=0.1)
