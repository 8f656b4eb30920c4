"""Results as files and tables.

In: what the runs reported. Out: `results/<name>.json` with every single number, and a
markdown table of medians, which `into_readme` puts between the README's marks.
Trap: a median of few runs says little, so the table tells the spread beside it.
"""

import argparse
import json
import os
import platform
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent


def machine() -> dict:
    """Return what the numbers depend on: processor, cores, system."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":")[1].strip() for line in lines if "model name" in line]
    return {
        "processor": names[0] if names else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
    }


def seconds(values: list[float]) -> str:
    """Return the median with the smallest and largest value."""
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a markdown table whose first column is text and the rest numbers."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def place(where: dict) -> str:
    """Return the machine in a few words."""
    return f"{where['processor']}, {where['cores']} cores"


def caption(results: dict) -> str:
    """Return one line on what was measured, and where."""
    where = results["machine"]
    settings = ", ".join(f"{k} {v}" for k, v in results["settings"].items())
    versions = {}
    for peer in results["peers"].values():
        versions |= {f"{name} {v}": None for name, v in peer["versions"].items()}
    return f"{place(where)}. {settings}. Versions: {', '.join(sorted(versions))}."


def save(results: dict, name: str) -> Path:
    """Write the results as JSON, and return the file."""
    file = HERE / "results" / f"{name}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(results, indent=1) + "\n")
    return file


def own_arguments(description: str) -> argparse.ArgumentParser:
    """Return the parser of a benchmark that has no peers."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--update-readme", action="store_true")
    return parser


def tell(about: str, lines: str, found: dict, name: str, options) -> None:
    """Print a table with its caption; save all numbers where `--update-readme` asks.

    Args:
        about: what stands behind the machine in the caption.
        lines: what `table` gives.
        found: the numbers.
        name: of the file, and of the marks in the README.
        options: what `own_arguments` has parsed.
    """
    where = machine()
    text = f"{place(where)}{about}\n\n{lines}"
    print(text)
    if options.update_readme:
        save({"machine": where, "settings": vars(options), **found}, name)
        into_readme(text, name)


def into_readme(text: str, name: str) -> None:
    """Put the text between the README's `<!-- name -->` and `<!-- /name -->`.

    Raises:
        ValueError: the README has no such marks.
    """
    readme = HERE / "README.md"
    before, mark, rest = readme.read_text().partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- /{name} -->")
    if not (mark and end):
        raise ValueError(f"{readme}: no <!-- {name} --> ... <!-- /{name} --> marks")
    readme.write_text(f"{before}{mark}\n{text}\n\n{end}{after}")
