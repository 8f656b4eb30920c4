"""Predict the label of each row of a file, or of each line of standard input.

The user's columns in, the same columns with the prediction beside them out, chunk by
chunk: memory stays flat. The trap: texts are read twice, by the reader that checks
them all before the model is loaded, and by the one that keeps all columns.
"""

from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path

from rich.progress import Progress

import kerasft as kft
from kerasft._errors import DataError, SettingsError
from kerasft.sampling.settings import Sampling
from kerasft.training.sampling_settings import SamplingSettings
from kerasft.training.settings import at_least, setting
from kerasft.workflows.console import ERRORS
from kerasft.workflows.data_overrides import DataOverrides
from kerasft.workflows.row_files import ENDINGS
from kerasft.workflows.run_folder import raise_unless_writable
from kerasft.workflows.trained import open_run
from kerasft.workflows.user_rows import lines_of_input, row_writer, user_rows

CHUNK = 1024  # Rows; below what `encode_rows` would put on disk.


@dataclass(frozen=True, kw_only=True)
class PredictSettings(DataOverrides, SamplingSettings):
    """Prediction."""

    run: str = setting(
        help="run folder, or any checkpoint with a head", positional=True
    )
    data: str = setting(help="a .csv, .tsv, .jsonl or .parquet file; -: lines of input")
    out: str = setting("-", "a .jsonl or .csv file; -: JSON lines to standard output")
    prefix: str = setting("", "put before the names of the new columns")
    batch_size: int = setting(32, "rows worked on at once", at_least(1))

    def conflicts(self):
        """Settings that do not go together, one sentence each."""
        problems = super().conflicts()
        if self.out == "-":
            return problems
        if Path(self.out).suffix.lower() not in (".jsonl", ".csv"):
            problems.append(f"out is {self.out!r}; it ends in .jsonl or .csv, or is -.")
        elif Path(self.out).resolve() == Path(self.data).resolve():
            problems.append(
                f"out is {self.out!r}, which is the data. Name another file."
            )
        return problems


def predict(settings: PredictSettings) -> int:
    """Predict the label of each row of a file.

    Returns:
        How many rows were predicted.

    Raises:
        KerasftError: rows or a checkpoint that do not fit; nothing is written then.
    """
    if settings.out != "-":
        raise_unless_writable(Path(settings.out).expanduser())
    run = open_run(settings.run)
    options = _sampling(settings, run.job)
    rows, originals = _read(settings, run)
    task = run.load(settings)
    with row_writer(settings.out) as write, Progress(console=ERRORS) as progress:
        for start in progress.track(
            range(0, len(rows), CHUNK), description="Predicting"
        ):
            chunk = rows.select(range(start, min(start + CHUNK, len(rows))))
            answers = run.job.answers(task, chunk, settings.batch_size, **options)
            for original, answer in zip(
                islice(originals, len(chunk)), answers, strict=True
            ):
                write(_joined(original, answer, settings.prefix))
    if settings.out != "-":
        ERRORS.print(f"{len(rows):,} rows written to {settings.out}.")
    return len(rows)


def _sampling(settings, job):
    """How texts are generated, for a task that does.

    Raises:
        SettingsError: it is told of a task that does not.
    """
    if job.task == "causal_lm":
        return settings.sampling
    changed = settings.changed()
    told = [f.name for f in fields(Sampling) if f.name in changed]
    if told:
        raise SettingsError(
            f"{', '.join(told)}: for texts that are generated, but the run is of "
            f"{job.task}. Leave them out."
        )
    return {}


def _read(settings, run):
    """The checked rows, and an iterator over them with all of their columns."""
    columns = run.columns(settings)
    if settings.data == "-" and not run.job.takes_lines:
        raise DataError(
            f"data is '-', but a {run.job.task} needs more than a line of text. Give "
            "--data a file."
        )
    if settings.data == "-":
        texts = kft.from_rows(lines_of_input(columns.encoding), "text")
        originals = (texts[i] for i in range(len(texts)))
        return run.job.from_texts(texts), originals
    rows = run.job.read_questions(settings.data, columns)
    if Path(settings.data).suffix.lower() in ENDINGS:
        return rows, user_rows(settings.data, columns)
    return rows, (rows[i] for i in range(len(rows)))


def _joined(original, answer, prefix):
    answer = {prefix + name: value for name, value in answer.items()}
    both = [name for name in answer if name in original]
    if both:
        raise DataError(
            f"The data has a column {both[0]!r} already. Give the predictions other "
            "names: --prefix predicted_"
        )
    return original | answer
