"""What a task asks of the commands: how its rows are read, loaded, trained, told.

A task whose commands differ from those of whole texts gets a subclass in a file of its
own, and one line in `jobs.py`.
"""

from kerasft._errors import SettingsError
from kerasft.workflows.console import RESULTS

HEAD = ("label", "labels", "new_head")
"""Settings of a head with labels."""
LOSSES = ("label_smoothing", "focal_gamma", "rdrop_alpha", "class_weight")
"""Settings of the losses of labels."""


class Job:
    """The questions that every command asks; a subclass answers for its task."""

    task: str
    """Key in `TASKS`."""
    own_settings: tuple[str, ...] = ()
    """Settings that belong to this task, and perhaps to others, but not to all."""
    unused_settings: tuple[str, ...] = ()
    """Settings of all other tasks that this one has no use for."""
    pipeline_tag: str
    """What the Hugging Face hub calls the task."""
    takes_lines = True
    """Whether a line of text is all that a prediction needs."""
    resumes = True
    """Whether a fit that was ended goes on where it was."""
    keeps_best = True
    """Whether validation rows tell which epoch is the best."""
    verb = "fine-tuned"
    """What is done to the checkpoint, for the model card."""
    library = "transformers"
    """What loads the checkpoint, as the hub calls it."""
    example = 'predict_text(["Some text."])'
    """How the task is asked, for the model card."""

    def read(self, files, columns, on_bad_rows="error"):
        """Rows with labels, from files."""
        raise NotImplementedError

    def read_questions(self, files, columns):
        """Rows without labels, from files: what is predicted."""
        raise NotImplementedError

    def from_texts(self, texts):
        """The same of plain texts (`Rows`), such as lines of input."""
        return texts

    def same_columns(self, columns, rows):
        """Columns of further files, now that the training rows are known."""
        return columns

    def labels(self, settings, rows):
        """Label names, in the order of the logits; None: the task's own."""
        if settings.labels:
            return tuple(str(name) for name in settings.labels)
        return rows.labels

    def check(self, rows, labels):
        """Refuse rows with other labels.

        Raises:
            DataError: labels that are not among `labels`.
        """
        raise NotImplementedError

    def stratifies(self, rows) -> bool:
        """Whether a share split off has the same mix of labels."""
        return False

    def resolved(self, settings, rows) -> dict:
        """Settings that the rows have made known."""
        return {}

    def load(self, settings, rows):
        """The task to train."""
        from kerasft.tasks import TASKS

        return TASKS[self.task].from_pretrained(
            settings.checkpoint,
            max_length=settings.max_length,
            precision=settings.precision,
            revision=settings.revision,
            **self.arguments(settings, rows),
        )

    def arguments(self, settings, rows) -> dict:
        """What `from_pretrained` is given to train, beside what all tasks take."""
        return {"labels": rows.labels, "new_head": settings.new_head}

    def loading(self, recipe) -> dict:
        """What `from_pretrained` is given to go on with a run."""
        return {}

    def prepare(self, task, settings, rows):
        """Compile the task; give its training batches, a dataset."""
        dataset = task.dataset(
            rows.parts["train"],
            settings.batch_size,
            training=True,
            seed=settings.seed,
            tokens_per_batch=settings.tokens_per_batch,
        )
        options = self.options(settings, rows)
        if settings.jit_compile is not None:
            options = options | {"jit_compile": settings.jit_compile}
        steps = settings.epochs * len(dataset.batches)
        task.compile(
            _optimizer(settings, steps), micro_batches=settings.micro_batches, **options
        )
        return dataset

    def options(self, settings, rows) -> dict:
        """What `compile` is given."""
        return {}

    def metrics(self, task, settings, rows):
        """Keras metrics of each epoch: a list, or of several outputs lists by name."""
        return task.default_metrics()

    def callbacks(self, task, settings, rows, logs) -> list:
        """Further callbacks of the fit; `logs` is the folder of the TensorBoard.

        Raises:
            KerasftError: settings that do not fit the task.
        """
        return []

    def scores(self, rows) -> tuple[str, ...]:
        """Names of what `task.score_rows` tells of validation rows, for each epoch."""
        return ()

    def fit(self, task, dataset, settings, rows, callbacks) -> dict:
        """Train; the values of each epoch by name."""
        options = {}
        if "validation" in rows.parts:
            validation = task.dataset(rows.parts["validation"], settings.batch_size)
            options["validation_data"] = validation
        trained = task.fit(
            dataset,
            epochs=settings.epochs,
            callbacks=callbacks,
            verbose=told_while_training(),
            **options,
        )
        return trained.history

    def finish(self, task, rows, folder):
        """What is left to do once the best weights are in the task and the folder."""

    def report(self, task, rows, batch_size, asked, recipe=None):
        """The `Report` of the task on rows.

        Args:
            task: trained.
            rows: with labels.
            batch_size: rows worked on at once.
            asked: settings of the command.
            recipe: those of the run, where these are others.
        """
        from kerasft.workflows.evaluation import measured

        return measured(task, rows, batch_size)

    def answers(self, task, rows, batch_size) -> list[dict]:
        """Predictions, one dict of new columns a row."""
        raise NotImplementedError

    def exporting(self, columns) -> dict:
        """What `export` is given, beside rows and signature."""
        return {}

    def about(self, rows) -> str:
        """The kind of problem, for people."""
        return self.task.replace("_", " ")


def told_while_training() -> int:
    """Keras' `verbose`: a bar for people, a line an epoch for files."""
    return 1 if RESULTS.is_terminal else 2


def _optimizer(settings, total_steps):
    import kerasft as kft

    return kft.adamw(
        settings.learning_rate,
        total_steps=total_steps,
        warmup=settings.warmup,
        schedule=settings.schedule,
        weight_decay=settings.weight_decay,
        clip_norm=settings.clip_norm,
        layer_decay=settings.layer_decay,
    )


def classification_options(settings, counted):
    """`compile` options of the losses of single labels.

    Args:
        settings: `LossSettings`.
        counted: rows with `label_counts`, for balanced weights.

    Raises:
        SettingsError: a label without rows has no balanced weight.
    """
    import kerasft as kft

    weights = settings.class_weight
    if weights == "balanced":
        weights = kft.balanced_weights(counted)
    elif weights is not None:
        weights = {str(name): weight for name, weight in weights.items()}
    return {
        "class_weight": weights,
        "label_smoothing": settings.label_smoothing,
        "focal_gamma": settings.focal_gamma,
        "rdrop_alpha": settings.rdrop_alpha,
    }


def raise_if_foreign(settings, job, jobs):
    """Refuse settings of another task.

    Raises:
        SettingsError: names them, and the tasks they belong to.
    """
    given = settings.changed()
    foreign = {
        name: sorted({other.task for other in jobs if name in other.own_settings})
        for other in jobs
        for name in other.own_settings
        if name in given and name not in job.own_settings
    }
    foreign |= {name: ["all others"] for name in job.unused_settings if name in given}
    if foreign:
        told = "; ".join(f"{name} ({', '.join(t)})" for name, t in foreign.items())
        raise SettingsError(
            f"task is {job.task!r}, which has no use for settings of others: {told}. "
            "Leave them out, or name another task."
        )
