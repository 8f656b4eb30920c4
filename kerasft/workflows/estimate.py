"""What a run is about to do, told before the long work begins."""

from rich.table import Table

from kerasft.workflows.console import RESULTS

SHOWN_LABELS = 10


def print_estimate(rows, task, dataset, epochs: int):
    """Print rows, labels, tokens, padding and steps as a table.

    Args:
        rows: `TrainingRows`.
        task: the task, built.
        dataset: of the training rows, or None: what is fed is made in the fit.
        epochs: passes over them.
    """
    table = Table(show_header=False, box=None)
    told = [*_data(rows), *_model(task)]
    if dataset is not None:
        told += [*_tokens(dataset.batches.examples), *_steps(dataset.batches, epochs)]
    for name, value in told:
        table.add_row(name, value)
    RESULTS.print(table)


def _data(rows):
    train = rows.parts["train"]
    yield "rows", ", ".join(f"{len(part):,} {n}" for n, part in rows.parts.items())
    yield "problem", rows.about
    if getattr(train, "labels", ()):
        yield "labels", _counted(train.label_counts)
    empty = sum(part.empty_texts for part in rows.parts.values())
    if empty:
        yield "empty", f"{empty:,} rows have an empty text"
    # Parts split off one another have the same source, and the same number.
    skipped = sum(
        {part.sources: part.rejected for part in rows.parts.values()}.values()
    )
    if skipped:
        yield "skipped", f"{skipped:,} bad rows, listed in rejected.csv"


def _model(task):
    yield "model", f"{task.count_params():,} parameters"
    if task.active_adapter is not None:
        yield "adapter", str(task.adapter_shares)
    if task.fresh_weights:
        yield "new", ", ".join(task.fresh_weights)


def _tokens(examples):
    tokens = examples.tokens()
    yield "tokens", f"{tokens:,} ({tokens / len(examples):.0f} an example)"
    truncated = getattr(examples, "truncated", 0)  # Passages and windows lose nothing.
    if truncated:
        share = truncated / len(examples) / examples.texts_per_row
        yield "cut", f"{truncated:,} texts ({share:.1%}) are too long"


def _steps(batches, epochs):
    yield "padding", f"{batches.padding_share:.1%} of all positions"
    yield "steps", f"{epochs * len(batches):,} ({len(batches):,} an epoch)"


def _counted(counts):
    listed = [f"{name} {count:,}" for name, count in counts.items()]
    more = len(listed) - SHOWN_LABELS
    return ", ".join(listed[:SHOWN_LABELS]) + (
        f" and {more:,} more" if more > 0 else ""
    )
