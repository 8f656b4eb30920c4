"""A tiny checkpoint, files of rows, and one finished run, all in a working folder."""

import pytest
from workflow_files import FINETUNE, films, write_csv

from kerasft.workflows import cli


@pytest.fixture(scope="session")
def workplace(tmp_path_factory):
    """A folder with `tiny/`, `train.csv`, `valid.csv` and `test.csv`."""
    import keras
    from tiny_tasks import save_tiny_bert

    place = tmp_path_factory.mktemp("workplace")
    (place / "tiny").mkdir()
    keras.utils.set_random_seed(0)
    save_tiny_bert(place / "tiny", num_layers=1)
    for name, count, seed in (("train", 50, 0), ("valid", 20, 1), ("test", 21, 2)):
        write_csv(place / f"{name}.csv", films(count, seed))
    return place


@pytest.fixture
def here(workplace, monkeypatch):
    """The same, as the working folder."""
    monkeypatch.chdir(workplace)
    return workplace


@pytest.fixture(scope="session")
def run_folder(workplace):
    """A finished run on `train.csv`, whose recipe names its columns and length."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workplace)
        assert cli.main([*FINETUNE, "--out", "runs/one", "--max-length", "12"]) == 0
    return workplace / "runs" / "one"


@pytest.fixture
def refused(capsys):
    """A function that runs a command which must fail, and gives its message."""

    def run(*arguments):
        capsys.readouterr()
        code = cli.main(list(arguments))
        told = capsys.readouterr().err
        assert code == 2, told
        assert "Traceback" not in told
        assert told.count("kerasft: error: ") == 1
        return told

    return run
