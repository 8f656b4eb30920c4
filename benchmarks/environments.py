"""One virtual environment per peer, because their pins exclude each other.

In: the pins in `requirements/<name>.txt`. Out: a Python with them installed, under
the cache folder. Trap: an environment is made anew when its pins change, never
mended, so that what was measured is what the file says.

    python benchmarks/environments.py            # make all, print their versions
    python benchmarks/environments.py torch tf4  # some
"""

import argparse
import shutil
import subprocess
import venv
from collections.abc import Callable
from pathlib import Path

from rows import cache_folder

REQUIREMENTS = Path(__file__).parent / "requirements"
NAMES = tuple(sorted(file.stem for file in REQUIREMENTS.glob("*.txt")))


def python_of(name: str) -> Path:
    """Return the Python of environment `name`, which is made if it is missing.

    Raises:
        subprocess.CalledProcessError: a pin cannot be installed on this machine.
    """
    pins = REQUIREMENTS / f"{name}.txt"
    folder = cache_folder() / "benchmarks" / name
    installed = folder / "installed.txt"
    python = folder / "bin" / "python"
    if not installed.exists() or installed.read_text() != pins.read_text():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        install = [python, "-m", "pip", "install", "--quiet", "--requirement", pins]
        subprocess.run(install, check=True)
        installed.write_text(pins.read_text())
    return python


def chooser(given: list[str]) -> Callable[[str], Path]:
    """Return `python_of`, but with the Pythons given as `environment=python`."""
    pythons = dict(pair.split("=", 1) for pair in given)
    return lambda name: Path(pythons[name]) if name in pythons else python_of(name)


def frozen(python: Path) -> str:
    """Return every installed package of an environment, one `name==version` a line."""
    command = [python, "-m", "pip", "freeze"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME")
    for name in parser.parse_args().names or NAMES:
        python = python_of(name)
        print(f"# {name}: {python}\n{frozen(python)}")


if __name__ == "__main__":
    main()
