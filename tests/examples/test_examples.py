"""Every example runs from its first line to its last, and says what it does."""

import ast
import importlib
import re
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(p.stem for p in FOLDER.glob("*.py") if p.stem != "real_inputs")
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))
LONG = (
    *("answer_questions", "choose", "continue_pretraining", "embed_texts"),
    *("dialogue", "few_shot", "find_triples", "pretrain_from_scratch"),
    *("pretrain_tiny_gpt", "relate_words", "search", "summarise_with_gpt"),
    "tag_words",
)
FEW = {"ROWS": "40", "EPOCHS": "1"}


def marked_if_long(names):
    """Those that take minutes even with few rows are slow."""
    for name in names:
        yield pytest.param(name, marks=pytest.mark.slow if name in LONG else ())


def notebook(name):
    return nbformat.read(FOLDER / name, as_version=4)


def header(name):
    if name in NOTEBOOKS:
        return notebook(name).cells[0].source.replace("|", " ")
    return ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text("utf-8")))


@pytest.mark.parametrize("name", marked_if_long(SCRIPTS))
def test_a_script_leaves_a_checkpoint_and_what_it_exports(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program = importlib.import_module(name)
    program.main(["--rows", FEW["ROWS"], "--epochs", FEW["EPOCHS"], "--out", "made"])
    names = ("model.safetensors", "adapter_model.safetensors")
    assert any((tmp_path / "made" / name).is_file() for name in names)
    exports = "task.export(" in (FOLDER / f"{name}.py").read_text("utf-8")
    assert (tmp_path / "made-serving" / "saved_model.pb").is_file() == exports


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_from_top_to_bottom(name, backend, tmp_path, monkeypatch):
    if not find_spec(backend):
        pytest.skip(f"{backend} is not installed")
    if backend == "jax" and name != "colab_tpu.ipynb":
        pytest.skip("chooses TensorFlow itself")
    for setting, value in FEW.items():
        monkeypatch.setenv(setting, value)
    monkeypatch.setenv("KERAS_BACKEND", backend)
    monkeypatch.setenv("OUT", str(tmp_path / "made"))
    monkeypatch.setenv("LOGS", str(tmp_path / "logs"))
    monkeypatch.setenv("PYTHONPATH", str(FOLDER.parent))
    # Without the user's kernels "python3" is the interpreter that runs this test.
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    book = notebook(name)
    place = {"metadata": {"path": str(FOLDER)}}
    NotebookClient(book, timeout=1200, kernel_name="python3", resources=place).execute()
    assert (tmp_path / "made-serving" / "saved_model.pb").is_file()
    assert book.cells[-1].outputs[-1].data["text/plain"].startswith("array([b'")


@pytest.mark.parametrize("name", [*SCRIPTS, *NOTEBOOKS])
def test_the_header_has_command_minutes_and_expected_result(name):
    told = dict(re.findall(r"^ *(Command|Minutes|Expected) +(.+)$", header(name), re.M))
    assert name in told["Command"]
    assert re.search(r"\d", told["Minutes"])
    assert re.search(r"\d", told["Expected"])


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_kept_without_outputs(name):
    code = [cell for cell in notebook(name).cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


def test_the_readme_lists_every_file():
    listed = re.findall(
        r"^\| \[(.+?)\]", (FOLDER / "README.md").read_text("utf-8"), re.M
    )
    files = {path.name for path in FOLDER.iterdir() if path.suffix in (".py", ".ipynb")}
    assert set(listed) == files
