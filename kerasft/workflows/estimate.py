"""What a run is about to do, told before the long work begins."""

from rich.table import Table

from kerasft.workflows.console import RESULTS

SHOWN_LABELS = 10


def print_estimate(rows, task, batches, epochs: int):
    """Print rows, labels, tokens, padding and steps as a table.

    Args:
        rows: `TrainingRows`.
        task: the task, built.
        batches: `Batches` of the training rows.
        epochs: passes over them.
    """
    table = Table(show_header=False, box=None)
    for name, value in [*_data(rows, batches), *_work(task, batches, epochs)]:
        table.add_row(name, value)
    RESULTS.print(table)


def _data(rows, batches):
    examples = batches.examples
    tokens = int(examples.lengths.sum(dtype="int64"))
    train = rows.parts["train"]
    yield "rows", ", ".join(f"{len(part):,} {n}" for n, part in rows.parts.items())
    yield "problem", rows.about
    if getattr(train, "labels", ()):
        yield "labels", _counted(train.label_counts)
    yield "tokens", f"{tokens:,} ({tokens / len(examples):.0f} a row)"
    if examples.truncated:
        share = examples.truncated / len(examples)
        yield "cut", f"{examples.truncated:,} rows ({share:.1%}) are too long"
    empty = sum(part.empty_texts for part in rows.parts.values())
    if empty:
        yield "empty", f"{empty:,} rows have an empty text"
    # Parts split off one another have the same source, and the same number.
    skipped = sum(
        {part.sources: part.rejected for part in rows.parts.values()}.values()
    )
    if skipped:
        yield "skipped", f"{skipped:,} bad rows, listed in rejected.csv"


def _work(task, batches, epochs):
    yield "model", f"{task.count_params():,} parameters"
    if task.fresh_weights:
        yield "new", ", ".join(task.fresh_weights)
    yield "padding", f"{batches.padding_share:.1%} of all positions"
    yield "steps", f"{epochs * len(batches):,} ({len(batches):,} an epoch)"


def _counted(counts):
    listed = [f"{name} {count:,}" for name, count in counts.items()]
    more = len(listed) - SHOWN_LABELS
    return ", ".join(listed[:SHOWN_LABELS]) + (
        f" and {more:,} more" if more > 0 else ""
    )
