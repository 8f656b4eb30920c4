"""Export a trained checkpoint as a SavedModel: raw strings in, labels out.

The export is compared with the task, on rows and on adversarial texts, before it takes
its place. The trap: whether it takes pairs of texts is what the run was trained on.
"""

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from kerasft.training.settings import Files, setting
from kerasft.workflows.console import ERRORS, RESULTS
from kerasft.workflows.data_overrides import DataOverrides
from kerasft.workflows.run_folder import raise_unless_writable
from kerasft.workflows.trained import open_run


@dataclass(frozen=True, kw_only=True)
class ExportSettings(DataOverrides):
    """Export."""

    run: str = setting(
        help="run folder, or any checkpoint with a head", positional=True
    )
    out: str = setting(help="folder of the SavedModel")
    data: Files | None = setting(
        None, "rows of your own to verify the export on; null: strange texts alone"
    )
    signature: Literal["text", "tokens"] = setting(
        "text", "what it takes: text, or token ids alone"
    )


def export(settings: ExportSettings) -> Path:
    """Export a trained checkpoint as a SavedModel that takes strings.

    Returns:
        The folder.

    Raises:
        KerasftError: a checkpoint that does not fit, or an export that gives other
            numbers than the task; nothing is written then.
    """
    out = Path(settings.out).expanduser()
    raise_unless_writable(out)
    run = open_run(settings.run)
    columns = run.columns(settings)
    rows = run.job.read_questions(settings.data, columns) if settings.data else None
    task = run.load(settings)
    options = run.job.exporting(columns)
    with _told("Writing the SavedModel, and comparing its answers with the task's"):
        task.export(out, rows, signature=settings.signature, **options)
    with _told("Loading it"):
        import tensorflow as tf

        signatures = tf.saved_model.load(str(out)).signatures
    _show(signatures, out, settings.signature)
    return out


@contextmanager
def _told(what):
    """Says what takes a while: on a terminal with a clock that runs."""
    if not ERRORS.is_terminal:
        ERRORS.print(f"{what} ...")
        yield
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=ERRORS, transient=True) as progress:
        progress.add_task(what)
        yield


def _show(signatures, out, signature):
    """Print the signatures, and how to load them."""
    table = Table("signature", "takes", "gives", box=None)
    serving_default = signatures["serving_default"]
    for name, function in signatures.items():
        _, takes = function.structured_input_signature
        table.add_row(name, _specs(takes), _specs(function.structured_outputs))
    RESULTS.print(table)
    if signature == "text":
        takes = serving_default.structured_input_signature[1]
        inputs = ", ".join(f"{n}=tf.constant({_sample(s)})" for n, s in takes.items())
        RESULTS.print(_EXAMPLE.format(out=out, inputs=inputs), soft_wrap=True)


def _specs(specs):
    return "\n".join(
        f"{name}: {spec.dtype.name} {tuple(spec.shape)}".replace("None", "?")
        for name, spec in sorted(specs.items())
    )


def _sample(spec):
    """A value of one row: a text, several, or where in it a mention is."""
    if spec.dtype != "string":
        return [[0, 5]]
    return ["Great stuff."] if len(spec.shape) == 1 else [["One.", "Two."]]


_EXAMPLE = """
Load it, with or without kerasft:

    import tensorflow as tf, tensorflow_text
    serve = tf.saved_model.load("{out}").signatures["serving_default"]
    serve({inputs})
"""
