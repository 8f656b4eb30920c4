"""The commands of few_shot_classifier: a label for a text, learnt from a few.

It has phases of its own, pairs and then the head, so there is no best epoch to keep
and no recipe of an optimizer to set.
"""

import kerasft as kft
from kerasft._errors import DataError
from kerasft.workflows.job import HEAD, Job, told_while_training
from kerasft.workflows.text_job import TextJob


class FewShotJob(TextJob):
    """A few texts with one label each."""

    task = "few_shot_classifier"
    library = "sentence-transformers"
    keeps_best = False
    resumes = False
    own_settings = (*HEAD, "pooling", "normalise", "pairs_per_row", "strength")
    unused_settings = (
        *("warmup", "schedule", "weight_decay", "clip_norm", "layer_decay"),
        *("micro_batches", "tokens_per_batch", "jit_compile", "monitor", "patience"),
        *("peft", "quantize", "save_steps", "save_minutes", "allow_changes"),
    )

    def resolved(self, settings, rows):
        """Nothing: there is one problem."""
        return {}

    def arguments(self, settings, rows):
        """Labels, and how vectors are pooled."""
        pooling = {"pooling": settings.pooling, "normalise": settings.normalise}
        return Job.arguments(self, settings, rows) | pooling

    def check(self, rows, labels):
        """Refuse rows with other labels, or with several."""
        if rows.label_type != "name":
            raise DataError(f"{rows!r}: a text to learn from has one label, a name.")
        super().check(rows, labels)

    def prepare(self, task, settings, rows):
        """Refuse rows that make no pairs; what is fed is made in the fit."""
        train = rows.parts["train"]
        missing = [name for name in task.labels if not train.label_counts.get(name)]
        if missing:
            raise DataError(
                f"{train!r}: has no row of {', '.join(missing)}. Add some, or leave "
                "the label out."
            )
        kft.class_pairs(train, settings.pairs_per_row, settings.seed)

    def fit(self, task, dataset, settings, rows, callbacks):
        """Pairs, then the head; the values of each epoch over the pairs."""
        with task.distribute_strategy.scope():
            trained = task.fit_rows(
                rows.parts["train"],
                pairs_per_row=settings.pairs_per_row,
                epochs=settings.epochs,
                batch_size=settings.batch_size,
                learning_rate=settings.learning_rate,
                strength=settings.strength,
                seed=settings.seed,
                callbacks=callbacks,
                verbose=told_while_training(),
            )
        return trained.history
