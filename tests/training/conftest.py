"""A tiny checkpoint, made once."""

import keras
import pytest
from tiny_tasks import LABELS, save_tiny_bert

import kerasft as kft


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory):
    """Folder of a tiny random BERT without a head."""
    keras.utils.set_random_seed(0)
    return save_tiny_bert(tmp_path_factory.mktemp("tiny-bert"), num_layers=1)


@pytest.fixture
def task(tiny_bert):
    """A fresh classifier of three labels."""
    keras.utils.set_random_seed(0)
    return kft.TextClassifier.from_pretrained(tiny_bert, labels=LABELS)
