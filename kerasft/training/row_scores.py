"""Score rows after each epoch by what needs all of them at once."""

import keras


class RowScores(keras.callbacks.Callback):
    """Add `task.score_rows(rows)` to each epoch's values, as of validation.

    Give it before callbacks that use them, such as
    `BestCheckpoint(folder, monitor="val_spearman")`.

    Args:
        rows: scored pairs, pairs, triples or texts with classes, for a `TextEmbedder`.
        batch_size: texts worked on at once.
    """

    def __init__(self, rows, batch_size=32):
        super().__init__()
        self.rows = rows
        self.batch_size = batch_size

    def on_epoch_end(self, epoch, logs=None):
        """Score."""
        scores = self.model.score_rows(self.rows, self.batch_size)
        logs.update({f"val_{name}": score for name, score in scores.items()})
