"""A backbone with a head for one job: a `keras.Model` that rows can be fed to.

`Task` is abstract. A subclass names its head (a key of `Family.heads`) and gives the
default loss and metrics, the labels of rows, and the form of its predictions.
"""

import abc
from contextlib import ExitStack

import keras

from kerasft._errors import SettingsError
from kerasft.checkpoints.folders import atomic_folder
from kerasft.checkpoints.tensors import TensorReader
from kerasft.models import pretrained
from kerasft.objectives.losses import ItemLoss, LossSum, RowLoss
from kerasft.objectives.optimizer import adamw
from kerasft.peft.adapted import Adapted
from kerasft.tasks.archive import Archived
from kerasft.tasks.arguments import (
    raise_if_outside,
    raise_if_rows,
    refuse,
    steps_of,
)
from kerasft.tasks.exporting import export_tokens
from kerasft.tasks.feeding import Feeding
from kerasft.tasks.loading import precision_policy, raise_unless_head, tokenizer_for
from kerasft.tasks.source import Source
from kerasft.tasks.step import (
    TrainStep,
    batches_of,
    prepared,
    refuse_foreign_clipping,
)


class Task(TrainStep, Feeding, Adapted, Archived, keras.Model):
    """Logits of a dict of token ids: `input_ids`, `attention_mask`, `token_type_ids`.

    Made by `from_pretrained`, trained by plain `compile` and `fit`.

    Args:
        backbone: hidden states of token ids.
        head: a built layer, logits of hidden states.
        tokenizer: the checkpoint's.
    """

    head_name: str

    def __init__(self, backbone, head, tokenizer, **kwargs):
        super().__init__(**kwargs)
        self.backbone = backbone
        self.head = head
        self.tokenizer = tokenizer
        self.fresh_weights = ()
        self.training_batches = None
        self.item_loss = None
        self.micro_batches = 1
        self.built = True

    def call(self, inputs, training=None):
        """Compute the logits."""
        hidden = self.backbone(inputs, training=training, readers=self.head.readers)
        mask = inputs.get("attention_mask")
        return self.head(hidden, training=training, attention_mask=mask)

    @abc.abstractmethod
    def default_loss(self):
        """The loss that `compile` uses when it is given none."""

    @abc.abstractmethod
    def default_metrics(self):
        """The metrics that `compile` uses when it is given none, as a list."""

    # --- files

    @classmethod
    def serves(cls, family) -> bool:
        """Whether a `Family` has the head that the task needs."""
        return cls.head_name in family.heads

    @classmethod
    def _load(cls, checkpoint, revision, max_length, precision, plan_head):
        """Backbone, head and tokenizer of a checkpoint.

        Args:
            plan_head: (config, tensors of the file) -> `HeadPlan`.
        """
        source = Source.find(checkpoint, revision)
        family, config = source.config()
        raise_unless_head(family, cls.head_name, source.folder)
        reader = TensorReader(source.folder)
        plan = plan_head(config, source.keys(reader))
        tokenizer = tokenizer_for(source.folder, plan.config, max_length)
        head_family = family.heads[cls.head_name]
        with precision_policy(precision):
            backbone = pretrained.empty_backbone(family, plan.config, reader)
            head = head_family.build(plan.config, plan.size, **plan.options)
            # Here, because Keras scales the loss by the task's own precision.
            task = cls(backbone, head, tokenizer, **plan.arguments)
        new_layers = (*plan.new_layers, *source.trained_layers(head_family.rows))
        report = pretrained.load_weights(
            reader, backbone, cls.head_name, head, new_layers
        )
        task.fresh_weights = report.fresh
        task.made_with = plan.as_data()
        source.complete(task)
        return task

    @abc.abstractmethod
    def saved_config(self):
        """The backbone's config with what the head adds to it (label names)."""

    def save_pretrained(self, folder):
        """Write a Hugging Face folder: config, weights, tokenizer; whole or not at all.

        An adapter at work is in these weights, merged; the task itself stays as it is.

        Raises:
            CheckpointError: the folder holds something that is no checkpoint.
            SettingsError: an adapter that cannot be merged; `save_adapter` saves it.
        """
        with self.plain_weights(), atomic_folder(folder) as new:
            self.write(new)

    def write(self, folder):
        """Write config, weights and tokenizer into an existing, empty folder."""
        pretrained.write_model(
            folder,
            self.backbone,
            config=self.saved_config(),
            head_name=self.head_name,
            head=self.head,
        )
        self.tokenizer.save(folder)

    def save_trained(self, folder):
        """Write what is trained: the adapter at work, or else the whole checkpoint."""
        if self.active_adapter is None:
            self.save_pretrained(folder)
        else:
            self.save_adapter(folder)

    def load_trained(self, folder):
        """Load what `save_trained` of this task has written."""
        if self.active_adapter is None:
            self.load_saved(folder)
        else:
            self.reload_adapter(folder)

    def load_saved(self, folder):
        """Load the weights that `save_pretrained` of this task has written."""
        pretrained.load_weights(
            TensorReader(folder), self.backbone, self.head_name, self.head
        )

    def export(self, folder, rows=None, *, signature="tokens"):
        """Write a SavedModel that takes token ids, and gives `logits`.

        Tasks that serve strings have an `export` of their own.

        Args:
            folder: where to; an earlier export there is replaced.
            rows: not needed: there are no strings to verify.
            signature: "tokens".

        Raises:
            SettingsError: strings are asked for, or the task takes no such ids.
        """
        export_tokens(self, folder, signature)

    # --- Keras

    def compile(
        self, optimizer=None, loss=None, metrics=None, *, micro_batches=1, **options
    ):
        """Make ready for `fit`; what is not given is the task's own.

        Args:
            optimizer: None: the recipe `kerasft.adamw(task.usual_learning_rate)`, whose
                length `fit` fills in.
            loss: a Keras loss of logits (`from_logits=True`), or None for the task's.
            metrics: a list of Keras metrics, or None for the task's.
            micro_batches: parts that each batch is worked through in, one after the
                other, to save memory; the result is that of the whole batch.
            **options: of `keras.Model.compile`.

        Raises:
            SettingsError: options that the exact train step cannot honour.
        """
        refuse(options, {"loss_weights", "weighted_metrics"})
        if micro_batches < 1:
            raise SettingsError(f"micro_batches is {micro_batches}; at least 1.")
        if optimizer is None:
            optimizer = adamw(self.usual_learning_rate)
        optimizer = keras.optimizers.get(optimizer)
        refuse_foreign_clipping(
            optimizer, self.distribute_strategy.num_replicas_in_sync
        )
        self.item_loss = self.default_loss() if loss is None else _loss(loss)
        self.micro_batches = micro_batches
        self.adapters_compiled = True
        super().compile(
            optimizer=optimizer,
            loss=self.item_loss,
            # Keras gives rows' weights to these alone.
            weighted_metrics=self.default_metrics() if metrics is None else metrics,
            **options,
        )

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """As Keras does; a `LossSum` takes labels and logits by name itself."""
        if isinstance(self.item_loss, LossSum):
            return self.item_loss(y, y_pred, sample_weight)
        return super().compute_loss(x, y, y_pred, sample_weight, training)

    def fit(self, x=None, y=None, **options):
        """Train as `keras.Model.fit` does, on batches of `dataset` or any tf.data."""
        refuse(options, {"class_weight", "validation_split"})
        raise_if_rows(x)
        self.raise_unless_trainable()
        epochs = options.get("epochs", 1) - options.get("initial_epoch", 0)
        steps = options.get("steps_per_epoch") or steps_of(x, y, options)
        self._set_schedule(steps, epochs)
        self.begin_fit(None if steps is None else steps * epochs)
        options.setdefault("shuffle", y is not None)  # Datasets shuffle themselves.
        self.training_batches = batches = batches_of(x)
        if batches is not None:
            follow = _EpochOrder(batches)
            options["callbacks"] = [follow, *(options.get("callbacks") or ())]
        if "validation_data" in options:
            options["validation_data"] = self._prepared(options["validation_data"])
        with ExitStack() as stack:
            for one in options.get("callbacks") or ():
                if hasattr(one, "around_fit"):
                    around = one.around_fit(self, x, options)
                    options = stack.enter_context(around)
            return super().fit(self._prepared(x), y, **options)

    def evaluate(self, x=None, y=None, **options):
        """Loss and metrics, as `keras.Model.evaluate`."""
        return super().evaluate(self._prepared(x), y, **options)

    def predict(self, x, **options):
        """Logits, in the order of the batches, as `keras.Model.predict`."""
        return super().predict(self._prepared(x), **options)

    def _prepared(self, data):
        self.raise_unless_room(batches_of(data))
        raise_if_rows(data)
        vocab_size = self.backbone.config.vocab_size
        raise_if_outside(data, vocab_size)
        return prepared(data, vocab_size)

    def _set_schedule(self, steps, epochs):
        """Tell a schedule without a length how long this run is."""
        optimizer = self.optimizer
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            optimizer = optimizer.inner_optimizer
        schedule = getattr(optimizer, "schedule", None)
        if schedule is None or not schedule.is_open:
            return
        if steps is None:
            raise SettingsError(
                "The length of the training data is not known, so the learning rate "
                "has no end to fall to. Give fit steps_per_epoch, or the optimizer "
                "total_steps."
            )
        schedule.total_steps = steps * epochs
        schedule.first_step = int(keras.ops.convert_to_numpy(optimizer.iterations))
        self.train_function = None  # It holds the old numbers.


class _EpochOrder(keras.callbacks.Callback):
    """Keep the order of the batches in step with Keras' epoch number."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.epoch = epoch


def _loss(loss):
    """A loss that gives one value an item."""
    if isinstance(loss, (list, tuple, dict)):
        raise SettingsError("A task has one output: give one loss, not several.")
    loss = keras.losses.get(loss)
    return loss if isinstance(loss, ItemLoss) else RowLoss(loss)
