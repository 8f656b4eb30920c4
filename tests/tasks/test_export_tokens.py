"""Tasks are served token ids, or say why not."""

import keras
import numpy as np
import pytest
from tensorflow_or_skip import tf

import kerasft as kft
from kerasft._errors import SettingsError


def test_a_masked_language_model_is_served_token_ids(folder, tmp_path):
    keras.utils.set_random_seed(0)
    task = kft.MaskedLM.from_pretrained(folder)
    task.export(tmp_path / "made", signature="tokens")
    serve = tf.saved_model.load(str(tmp_path / "made")).signatures["serving_default"]
    ids = tf.constant([[2, 4, 6, 3], [2, 4, 3, 0]])
    inputs = {
        "input_ids": ids,
        "attention_mask": tf.cast(ids > 0, tf.int32),
        "token_type_ids": tf.zeros_like(ids),
    }
    logits = serve(**inputs)["logits"]
    assert logits.shape == (2, 4, 101)
    real = ids.numpy() > 0
    np.testing.assert_allclose(logits[real], task(inputs)[real], atol=1e-5)


def test_choices_are_served_token_ids_of_three_axes(folder, tmp_path):
    keras.utils.set_random_seed(0)
    task = kft.MultipleChoice.from_pretrained(folder)
    task.export(tmp_path / "made", signature="tokens")
    serve = tf.saved_model.load(str(tmp_path / "made")).signatures["serving_default"]
    ids = tf.constant([[[2, 4, 6, 3], [2, 4, 3, 0]], [[2, 3, 0, 0], [0, 0, 0, 0]]])
    inputs = {
        "input_ids": ids,
        "attention_mask": tf.cast(ids > 0, tf.int32),
        "token_type_ids": tf.zeros_like(ids),
    }
    served = serve(**inputs)
    np.testing.assert_allclose(served["logits"], task(inputs), atol=1e-5)
    np.testing.assert_allclose(served["scores"][1], [1, 0], atol=1e-5)


def test_a_task_without_strings_refuses_them(folder, tmp_path):
    task = kft.Pretraining.from_pretrained(folder)
    with pytest.raises(SettingsError, match="Pretraining is served token ids alone"):
        task.export(tmp_path / "x", signature="text")


def test_a_task_that_cannot_be_served_says_so(folder, tmp_path):
    task = kft.Pretraining.from_pretrained(folder)
    with pytest.raises(SettingsError, match="A Pretraining takes no plain token ids"):
        task.export(tmp_path / "made")
    assert not (tmp_path / "made").exists()
