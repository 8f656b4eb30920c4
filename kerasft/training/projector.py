"""Write vectors for TensorBoard's Projector tab: what lies near what, in 3D.

Three files: `tensors.tsv`, `metadata.tsv`, and `projector_config.pbtxt`, which names
them. The trap: metadata of one column have no header line, of more columns they have
one; and the tab takes a tab or a line end within a text for the end of a cell.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kerasft._errors import DataError
from kerasft.checkpoints.folders import PLAIN_NAME

CONFIG = "projector_config.pbtxt"
LONGEST = 300  # characters of a text
ENTRY = """\
embeddings {{
  tensor_name: "{name}"
  tensor_path: "{name}.tensors.tsv"
  metadata_path: "{name}.metadata.tsv"
}}
"""


def write_projector(
    folder,
    vectors,
    metadata: Sequence | Mapping[str, Sequence],
    name: str = "vectors",
) -> Path:
    """Write vectors with their texts or labels into a log folder.

    Other names that were written there before stay in the tab. See them by
    `tensorboard --logdir FOLDER`.

    Args:
        folder: of the logs; made if it is not there.
        vectors: (n, width) numbers.
        metadata: what to show at the points: n values, or column name -> n values.
        name: of these vectors in the tab.

    Returns:
        The folder.

    Raises:
        DataError: numbers of values that differ, no vectors, or numbers that are not
            finite; a name that is no plain file name.
    """
    vectors = np.asarray(vectors, "float32")
    columns = metadata if isinstance(metadata, Mapping) else {"": metadata}
    _raise_unless_fit(vectors, columns, name)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows = ("\t".join(f"{number:.9g}" for number in row) for row in vectors)
    _write_lines(folder / f"{name}.tensors.tsv", rows)
    lines = ["\t".join(map(_cell, row)) for row in zip(*columns.values(), strict=True)]
    if len(columns) > 1:
        lines.insert(0, "\t".join(map(_cell, columns)))
    _write_lines(folder / f"{name}.metadata.tsv", lines)
    config = folder / CONFIG
    known = config.read_text("utf-8") if config.exists() else ""
    if ENTRY.format(name=name) not in known:
        config.write_text(known + ENTRY.format(name=name), "utf-8")
    return folder


def _raise_unless_fit(vectors, columns, name):
    problems = []
    if not PLAIN_NAME.fullmatch(name):
        problems.append(f"the name {name!r:.80} is no plain file name")
    if vectors.ndim != 2 or not vectors.size:
        problems.append(f"vectors have shape {vectors.shape}, expected (n, width)")
    elif not np.isfinite(vectors).all():
        problems.append("some of the numbers are not finite")
    counts = {column: len(values) for column, values in columns.items()}
    if not counts or set(counts.values()) != {len(vectors)}:
        found = ", ".join(
            f"{count:,} {column}".strip() for column, count in counts.items()
        )
        problems.append(
            f"there are {len(vectors):,} vectors but {found or 'no'} metadata"
        )
    if problems:
        raise DataError("Cannot write for the projector: " + "; ".join(problems) + ".")


def _cell(value):
    """A value in one line, never empty: the tab leaves out empty lines."""
    text = " ".join(str(value).split())
    if len(text) > LONGEST:
        text = text[: LONGEST - 1] + "…"
    return text or "(empty)"


def _write_lines(path, lines):
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)
