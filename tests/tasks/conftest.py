"""A tiny checkpoint and a classifier of it."""

from importlib.util import find_spec

import keras
import pytest
from tiny_classifiers import GIVEN, made
from tiny_tasks import save_tiny_bert

# Exports are graphs of TensorFlow.
collect_ignore_glob = [] if find_spec("tensorflow") else ["*export*"]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A random BERT of one layer, without a head."""
    keras.utils.set_random_seed(0)
    return save_tiny_bert(tmp_path_factory.mktemp("tiny"), num_layers=1)


@pytest.fixture
def task(folder):
    """A fresh classifier of three labels."""
    return made(folder)


@pytest.fixture(params=GIVEN)
def problem(request):
    """Each kind of label in turn."""
    return request.param
