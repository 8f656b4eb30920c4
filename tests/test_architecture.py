"""The rules of the layout: who imports whom, how long a file is, what it is called."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "kerasft"
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
FOLDERS = sorted({path.parts[0] for path in MODULES if len(path.parts) > 1})
EVERYWHERE = ("_errors", "_registry")
FORBIDDEN = "utils util helpers helper common base manager handler misc tools".split()
LINES = 300
# There is no public way to give a tape a gradient without registering it for good.
PRIVATE = {"layers/gradient_tensorflow.py": "tensorflow.python.eager"}

# Third parties, and the folders or files that may import them.
DATA = ("data", "serving", "training", "workflows")
ONE_FILE_EACH = (
    "tasks/step_tensorflow.py",
    "tasks/replicas_tensorflow.py",
    "objectives/adam_tensorflow.py",
    "layers/dropout_tensorflow.py",
    "layers/gradient_tensorflow.py",
    "layers/rows_tensorflow.py",
    "sampling/compiled_tensorflow.py",
)
PLACES = {
    "tensorflow": (*DATA, *ONE_FILE_EACH),
    "jax": (
        "sampling/compiled_jax.py",
        "tasks/step_jax.py",
        "training/jax_devices.py",
        "training/jax_processes.py",
        "training/jax_profiler.py",
    ),
    "tensorflow_text": ("serving",),
    "tensorflow_datasets": ("data",),
    "tensorboard": ("training",),
    "keras": ("layers", "models", "objectives", "peft", "sampling", "tasks", *DATA[1:]),
    "keras_tuner": ("workflows/search_oracle.py",),
    "safetensors": ("checkpoints",),
    "huggingface_hub": ("checkpoints",),
    "tokenizers": ("data/tokenizer.py", "data/vocabulary.py", "serving"),
    "transformers": ("data/tokenizer.py",),
    "pyarrow": ("data", "workflows/user_rows.py"),
    "datasets": ("data",),
    "pandas": ("data",),
    "jinja2": ("data/sandbox.py",),
    "jsonargparse": ("workflows",),
    "rich": ("data", "training", "workflows"),
    "matplotlib": ("training",),
    "sacrebleu": ("training/generation_report.py",),
    "rouge_score": ("training/generation_report.py",),
    "sklearn": ("training", "workflows"),
    "scipy": ("training", "workflows"),
    "numpy": tuple(FOLDERS),
}


def imports(module):
    """(dotted name, line) of each import of a module, inside functions too."""
    for node in ast.walk(ast.parse((PACKAGE / module).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno} imports relatively"
            if node.module == "kerasft":
                names = [f"kerasft.{alias.name}" for alias in node.names]
                yield from ((name, node.lineno) for name in names)
            else:
                yield node.module, node.lineno


def ours(module):
    """(name below kerasft, line) of what a module imports from the package."""
    for name, line in imports(module):
        if name.split(".")[0] == "kerasft":
            yield name.removeprefix("kerasft").lstrip("."), line


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_folder_imports_only_from_those_above_it(module):
    folder = module.parts[0]
    for name, line in ours(module):
        below = name.split(".")[0]
        if below in EVERYWHERE:
            continue
        if folder == "workflows" and not name:  # import kerasft as kft
            continue
        if len(module.parts) == 1:
            assert module.name in ("__init__.py", "__main__.py"), f"{module}:{line}"
            continue
        assert below in FOLDERS, f"{module}:{line} imports kerasft.{name}"
        assert below <= folder, f"{module}:{line}: {below} stands below {folder}"


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_third_parties_stay_in_their_places(module):
    for name, line in imports(module):
        party = name.split(".")[0]
        if party == "kerasft" or party in sys.stdlib_module_names:
            continue
        places = PLACES.get(party, ())
        allowed = module.parts[0] in places or module.as_posix() in places
        assert allowed, f"{module}:{line} imports {party}; its places: {places}"


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_no_private_module_of_a_third_party_is_used(module):
    for name, line in imports(module):
        private = ".src" in name or ".python" in name
        named = PRIVATE.get(module.as_posix()) == name
        assert named or not private, f"{module}:{line}: {name}"


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_file_is_short_and_its_name_says_what_it_holds(module):
    lines = (PACKAGE / module).read_text("utf-8").count("\n")
    assert lines <= LINES, f"{module} has {lines} lines"
    assert module.stem not in FORBIDDEN
    assert len(module.parts) <= 2, "folders are one level deep"


def test_test_files_have_names_of_their_own():
    # pytest imports them all into one name space.
    names = [path.name for path in Path(__file__).parent.rglob("*.py")]
    assert "__init__.py" not in names
    assert {name for name in names if names.count(name) > 1} <= {"conftest.py"}


def test_every_folder_is_a_package():
    for folder in FOLDERS:
        assert (PACKAGE / folder / "__init__.py").exists(), folder


def made_in(folder, kind):
    """Things of a kind that stand in the modules of a folder."""
    for module in MODULES:
        if module.parts[0] == folder:
            place = ".".join(("kerasft", *module.with_suffix("").parts))
            found = vars(importlib.import_module(place)).values()
            yield from (thing for thing in found if isinstance(thing, kind))


def test_every_task_is_in_its_registry():
    import keras

    from kerasft.tasks import TASKS

    for thing in made_in("tasks", type):
        if issubclass(thing, keras.Model) and not inspect.isabstract(thing):
            assert thing in TASKS.values(), thing


def test_every_family_is_in_its_registry():
    from kerasft.models import FAMILIES, family

    for thing in made_in("models", family.Family):
        assert thing in FAMILIES.values(), thing.model_type


def test_a_registrys_name_is_the_name_in_the_files():
    from kerasft.models import FAMILIES
    from kerasft.tasks import TASKS

    assert all(family.model_type == name for name, family in FAMILIES.items())
    assert all(task.head_name == name for name, task in TASKS.items())


def test_importing_draws_no_random_number():
    # It would give another model for a seed in a process that has it imported before.
    places = [".".join(m.with_suffix("").parts) for m in MODULES]
    program = f"""
import importlib, random, keras, tensorflow
random.seed(0)
for place in {places!r}:
    if place != "__main__":
        importlib.import_module("kerasft." + place.removesuffix(".__init__"))
state = random.getstate()
random.seed(0)
assert state == random.getstate()
"""
    subprocess.run([sys.executable, "-c", program], check=True)
