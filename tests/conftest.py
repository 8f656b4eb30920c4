"""Real inputs for all tests: a pretrained BERT and real texts, fetched by hash."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))


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
