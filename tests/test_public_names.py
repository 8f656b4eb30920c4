"""What `import kerasft` gives, and what it must not load."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import kerasft
from kerasft._errors import KerasftError
from kerasft._registry import Registry, UnknownNameError

PACKAGE = Path(kerasft.__file__).parent
HEAVY = ("tensorflow", "keras", "transformers", "tokenizers", "pyarrow", "torch")


@pytest.mark.parametrize("name", kerasft.__all__)
def test_every_public_name_resolves_where_it_is_said_to_be(name):
    value = getattr(kerasft, name)
    assert name in dir(kerasft)
    if name != "__version__":
        assert value.__doc__
        assert value.__name__ == name


def test_public_names_stand_in_the_order_of_the_data():
    order = ["read_csv", "split", "TextClassifier", "adamw", "strategy", "finetune"]
    assert sorted(order, key=kerasft.__all__.index) == order


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Trainer'"):
        kerasft.Trainer  # noqa: B018


@pytest.mark.parametrize(
    "statement", ["import kerasft", "from kerasft.workflows import cli"]
)
def test_importing_loads_no_heavy_package(statement):
    program = f"{statement}; import sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        cwd=PACKAGE.parent,
    )
    assert not set(HEAVY) & set(done.stdout.split())


def test_every_error_of_ours_can_be_caught_at_once():
    for path in PACKAGE.rglob("*.py"):
        place = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and node.name.endswith("Error"):
                made = getattr(importlib.import_module(place), node.name)
                assert issubclass(made, KerasftError) or not issubclass(made, Exception)


def test_a_registry_says_what_was_meant():
    things = Registry("task", text_classifier=1, masked_lm=2)
    with pytest.raises(UnknownNameError) as caught:
        things["text_clasifier"]
    assert str(caught.value) == (
        "No task named 'text_clasifier'. Did you mean 'text_classifier'? "
        "Known: masked_lm, text_classifier."
    )
    with pytest.raises(KeyError, match=r"No task named 'x'\. Known"):
        things["x"]
