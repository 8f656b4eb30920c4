"""Real inputs for all tests: a pretrained BERT and real texts, fetched by hash."""

import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))

# A shell's `&` has what it starts ignore Ctrl-C, and so would all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def minilm():
    """Folder of the pretrained MiniLM-L6 (a `BertModel`)."""
    import real_inputs

    return real_inputs.minilm_folder()


@pytest.fixture(scope="session")
def bbc_rows():
    """(article, topic) of 2,225 BBC news articles."""
    import real_inputs

    return real_inputs.bbc_rows()


@pytest.fixture(scope="session")
def bbc_texts(bbc_rows):
    """The articles alone."""
    return [text for text, _ in bbc_rows]


@pytest.fixture(scope="session")
def vader_texts():
    """About 23,700 texts with human scores: films, products, tweets, editorials."""
    import real_inputs

    return [
        text
        for kind in real_inputs.VADER_FILES
        for text, _ in real_inputs.vader_rows(kind)
    ]


TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "kerasft"
# What may ask for TensorFlow on a machine without it, and is skipped there.
MAY_NEED_IT = ("serving", "training", "workflows")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Skip what exports or draws where TensorFlow is not installed, and nothing else.

    A task, a layer or a method that asks for it there fails.
    """
    report = (yield).get_result()
    if call.excinfo is None or not call.excinfo.errisinstance(ModuleNotFoundError):
        return
    missing = (call.excinfo.value.name or "").split(".")[0]
    if missing not in ("tensorflow", "tensorflow_text", "tensorboard"):
        return
    frames = (Path(str(entry.path)) for entry in reversed(call.excinfo.traceback))
    place = next(f for f in frames if TESTS in f.parents or PACKAGE in f.parents)
    if TESTS in place.parents or place.relative_to(PACKAGE).parts[0] in MAY_NEED_IT:
        report.outcome = "skipped"
        report.longrepr = (str(item.path), item.location[1], f"needs {missing}")
