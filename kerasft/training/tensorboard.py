"""The TensorBoard callback: what happened in a run, and what the model gets wrong.

Three runs below the log folder: `train`, `validation` (the same tags, so that their
curves lie over each other) and `final` (last values and settings, for the HParams
tab). The trap: a callback with `on_train_batch_end` makes Keras wait for the device
after each step, so this one looks at the start of a step, every `update_freq` steps.
"""

from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from kerasft._errors import SettingsError
from kerasft.objectives.optimizer import AdamW
from kerasft.training import panels, plots
from kerasft.training.devices import is_chief
from kerasft.training.flops import peak_of, speed_of
from kerasft.training.meter import Meter, number
from kerasft.training.report import report_on, reporter_of
from kerasft.training.step_profile import StepProfile
from kerasft.training.summaries import Summaries, markdown_table

SETTINGS = (
    "learning_rate",
    "warmup",
    "schedule",
    "weight_decay",
    "clip_norm",
    "layer_decay",
)


class TensorBoard(keras.callbacks.Callback):
    """Write a fit for TensorBoard.

    By epoch: `epoch/loss` and each metric. By step: `step/loss` (mean of the steps
    since the last point), `step/learning_rate` (of the step to come),
    `step/gradient_norm` (of the last step, before clipping; with `kerasft.adamw`),
    `speed/...` a second, and of a `CausalLM` `speed/share_of_measured_peak`, its
    arithmetic over that of a matrix product, measured when the fit begins;
    `memory/...`, the peaks so far. After each epoch: `epoch/weight_norm`. Once: the
    recipe, `data/padding_share` and a histogram of the lengths; and, with `validation`,
    at the end a confusion matrix or what fits the problem, how reliable the scores are,
    precision-recall curves, and the worst mistakes. The steps are the optimizer's.

    In a run of several processes give it to each: all measure, the chief writes.

    Args:
        log_dir: folder of this run, such as "tb_logs/reviews".
        update_freq: steps between two points.
        validation: rows to report on when the fit ends.
        examples: the most mistakes shown.
        hparams: settings for the HParams tab; None: the fit's and the optimizer's.
        recipe: text that says how the run is made, shown as it is.
        histograms: write those of all trained weights after each epoch.
        profile: (first, last) step to profile, the first of the fit is 1; the Profile
            tab needs the package tensorboard-plugin-profile.

    Raises:
        SettingsError: numbers outside what they may be; when the fit begins: a task
            that cannot be reported on, or a backend other than TensorFlow and JAX.
    """

    def __init__(  # noqa: PLR0913 - each named by the user
        self,
        log_dir,
        *,
        update_freq=20,
        validation=None,
        examples=20,
        hparams=None,
        recipe=None,
        histograms=False,
        profile=None,
    ):
        super().__init__()
        if update_freq < 1 or examples < 0:
            raise SettingsError(
                f"update_freq is {update_freq} (at least 1), examples is {examples} "
                "(at least 0)."
            )
        self.log_dir = Path(log_dir)
        self.update_freq = update_freq
        self.validation = validation
        self.examples = examples
        self.hparams = hparams
        self.recipe = recipe
        self.histograms = histograms
        self._profile = StepProfile(self.log_dir / "train", profile)

    def on_train_begin(self, logs=None):
        """Open the runs; write what is known before the first step."""
        task = self.model
        task.loss_sums()  # Refuses a backend without them.
        if self.validation is not None:
            reporter_of(task)
        writes = is_chief(task.distribute_strategy)
        self._train, self._validation, self._final = (
            Summaries(self.log_dir / name, writes)
            for name in ("train", "validation", "final")
        )
        self._meter = Meter(task)
        self._first_step = int(number(task.optimizer.iterations))
        self._steps = 0
        self._epochs_done = 0
        self._peak, self._rates = peak_of(task), []
        settings = self.hparams
        if settings is None:
            settings = known_settings(task, self.params["epochs"])
        self._final.settings(settings, self.log_dir.name)
        self._begin_step = self._first_step
        if self.recipe:
            self._final.text("recipe", _indented(self.recipe), 0)
        if task.training_batches is not None:
            self._write_data(task.training_batches)

    def on_epoch_begin(self, epoch, logs=None):
        """Begin to measure."""
        self._epochs_done = epoch
        self._steps = 0  # done in this epoch
        self._meter.begin_epoch(epoch)

    def on_train_batch_begin(self, batch, logs=None):
        """Write a point if one is due; `batch` steps of this epoch are done."""
        self._steps = batch
        self._profile.before(self._first_step - self._begin_step + batch + 1)
        self._meter.warm_up(batch)
        if batch - self._meter.step >= self.update_freq:
            self._write_point(batch)

    def on_test_begin(self, logs=None):
        """Measure the rest of the epoch: validation sets the sums back to 0."""
        self._end_steps()

    def on_epoch_end(self, epoch, logs=None):
        """Write loss and metrics."""
        self._end_steps()
        self._epochs_done = epoch + 1
        train, validation = _apart(logs)
        train["epoch/weight_norm"] = panels.weight_norm(self.model)
        if self.histograms:
            self._train.histograms(panels.weights_by_name(self.model), epoch + 1)
        self._train.numbers(train, epoch + 1)
        if validation:
            self._validation.numbers(validation, epoch + 1)
        for run in (self._train, self._validation, self._final):
            run.flush()
        self._first_step += self._steps

    def on_train_end(self, logs=None):
        """Write the last values and the report."""
        self._profile.stop()
        numbers = {f"final/{name}": value for name, value in (logs or {}).items()}
        self._final.numbers(numbers, self._epochs_done)
        self._final.succeeded()
        if self.validation is not None and len(self.validation):
            self._write_report()
        for run in (self._train, self._validation, self._final):
            run.flush()

    def resume_state(self):
        """Where it is: for `Resume`."""
        return {
            "_first_step": self._first_step,
            "_epochs_done": self._epochs_done,
            "_steps": self._steps,
            "meter": self._meter.position(),
        }

    def resume_from(self, state):
        """Go on where another fit was: for `Resume`."""
        self._meter.go_to(state.pop("meter"))
        vars(self).update(state)

    @property
    def speed(self):
        """The `Speed` of a `CausalLM`'s fit so far; None of others, and at first."""
        if not self._rates:
            return None
        return speed_of(self.model, float(np.median(self._rates)), self._peak)

    def _end_steps(self):
        """Write the point of an epoch's last steps, once."""
        steps = self.params["steps"] or self._steps + 1
        if steps > self._meter.step:
            self._steps = steps
            self._write_point(steps)

    def _write_data(self, batches):
        share = {"data/padding_share": batches.padding_share}
        self._train.numbers(share, self._first_step)
        lengths = panels.lengths_of(batches)
        if lengths is not None and len(lengths):
            figure = plots.lengths(lengths)
            self._train.figure("data/lengths", figure, self._first_step)

    def _write_point(self, step):
        self.model.sync_variables()
        optimizer = self.model.optimizer
        numbers = self._meter.read(step) | panels.peak_memory()
        tokens = numbers.get("speed/tokens_per_second")
        if self._peak and tokens:
            self._rates.append(tokens)
            share = speed_of(self.model, tokens, self._peak).share
            numbers["speed/share_of_measured_peak"] = share
        numbers["step/learning_rate"] = number(optimizer.learning_rate)
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            numbers["step/loss_scale"] = number(optimizer.dynamic_scale)
            optimizer = optimizer.inner_optimizer
        if isinstance(optimizer, AdamW):
            numbers["step/gradient_norm"] = number(optimizer.gradient_norm)
        self._train.numbers(numbers, self._first_step + step)

    def _write_report(self):
        task, rows, run = self.model, self.validation, self._validation
        found = report_on(task, rows)
        step = self._epochs_done
        for name, figure in found.figures().items():
            run.figure(f"report/{name}", figure, step)
        for name, (true, scores) in found.curve_data().items():
            run.curve(f"precision_recall/{name}", true, scores, step)
        run.text("report/table", _indented(found.text()), step)
        mistakes = found.mistakes(self.examples)
        if mistakes:
            run.text("report/mistakes", _mistakes(rows, mistakes), step)


def known_settings(task, epochs: int) -> dict:
    """What of `SETTINGS`, and of the data, the task and its optimizer can tell."""
    optimizer = task.optimizer
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    settings = {"model": task.backbone.family.model_type, "epochs": epochs}
    if task.training_batches is not None:
        settings["batch_size"] = task.training_batches.plan.batch_size
    config = optimizer.get_config()
    rate = config["learning_rate"]
    if isinstance(rate, Mapping):  # A schedule.
        config |= rate["config"]
        config["learning_rate"] = config.get("peak")
        config["schedule"] = config.get("decay")  # As `adamw` calls it.
    told = {name: config.get(name) for name in SETTINGS}
    return settings | {name: told[name] for name in SETTINGS if told[name] is not None}


def _apart(logs):
    """Tag -> value of training, and of validation."""
    train, validation = {}, {}
    for name, value in logs.items():
        part = validation if name.startswith("val_") else train
        part[f"epoch/{name.removeprefix('val_')}"] = value
    return train, validation


def _mistakes(rows, mistakes):
    """The worst mistakes as a table, with their texts and where they came from."""
    lines = []
    for mistake in mistakes:
        text = rows.texts(mistake.row, mistake.row + 1)[0]
        if rows.has_pairs:
            text += " ⟷ " + rows.text_pairs(mistake.row, mistake.row + 1)[0]
        told = (mistake.label, mistake.predicted, f"{mistake.score:.3f}")
        lines.append((text, *told, rows.where(mistake.row)))
    return markdown_table(("text", "label", "predicted", "score", "row"), lines)


def _indented(text):
    """Markdown that shows lines as they are."""
    return "\n".join(f"    {line}" for line in text.splitlines())
