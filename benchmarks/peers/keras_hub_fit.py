"""KerasHub on Keras 3 and TensorFlow: `BertTextClassifier` with its preprocessor.

Its preprocessor pads every row to one length and tokenises inside `fit`, so there is
no tokenising time of its own. `compile` in the job sets `jit_compile` (XLA), which
Keras leaves off on CPU. KerasHub reads the folder because it holds a `vocab.txt`;
a folder saved by transformers 5 it cannot read.
"""

import time

import keras
import keras_hub
import numpy as np
import tensorflow as tf
from worker import Clock, padding_share, read_rows, serve


@keras.saving.register_keras_serializable()
class WarmUpThenLinear(keras.optimizers.schedules.LearningRateSchedule):
    """Rises to `peak` over `warmup` steps, then falls to 0 at `steps`."""

    def __init__(self, peak: float, warmup: int, steps: int):
        self.peak, self.warmup, self.steps = peak, warmup, steps

    def __call__(self, step):
        step = keras.ops.cast(step, "float32")
        rise = step / max(self.warmup, 1)
        fall = (self.steps - step) / (self.steps - self.warmup)
        return self.peak * keras.ops.minimum(rise, fall)

    def get_config(self):
        return {"peak": self.peak, "warmup": self.warmup, "steps": self.steps}


class EpochEnds(keras.callbacks.Callback):
    """Marks the end of every epoch on a clock."""

    def __init__(self, clock: Clock):
        super().__init__()
        self.clock = clock

    def on_epoch_end(self, epoch, logs=None):
        self.clock.mark()


def built(job, num_rows: int) -> keras_hub.models.BertTextClassifier:
    """Return the classifier from the checkpoint, compiled with the job's recipe."""
    preprocessor = keras_hub.models.BertTextClassifierPreprocessor.from_preset(
        job.checkpoint, sequence_length=job.max_length
    )
    model = keras_hub.models.BertTextClassifier.from_preset(
        job.checkpoint, num_classes=2, preprocessor=preprocessor
    )
    steps = -(-num_rows // job.batch_size) * job.epochs
    optimizer = keras.optimizers.AdamW(
        WarmUpThenLinear(job.learning_rate, round(job.warmup * steps), steps),
        weight_decay=job.decay,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=bool(job.compile),
    )
    return model


def padding(model, texts: list[str]) -> float:
    """Return the share of padding the preprocessor makes of these texts."""
    mask = np.asarray(model.preprocessor(texts)["padding_mask"])
    return padding_share(mask.sum(axis=1).tolist(), mask.size)


def start(job):
    tf.config.threading.set_intra_op_parallelism_threads(job.threads)
    tf.config.threading.set_inter_op_parallelism_threads(job.threads)

    def run() -> dict:
        keras.backend.clear_session()
        keras.utils.set_random_seed(job.seed)
        texts, labels = read_rows(job.train)
        began = time.perf_counter()
        model = built(job, len(texts))
        loaded = time.perf_counter()
        clock = Clock()
        model.fit(
            np.array(texts),
            np.array(labels),
            batch_size=job.batch_size,
            epochs=job.epochs,
            verbose=0,
            callbacks=[EpochEnds(clock)],
        )
        clock.mark()
        test_texts, test_labels = read_rows(job.test)
        logits = model.predict(np.array(test_texts), job.batch_size, verbose=0)
        return {
            "tokenise_seconds": 0.0,
            "load_seconds": loaded - began,
            "fit_seconds": clock.total,
            "epoch_seconds": clock.laps[: job.epochs],
            "padding_share": padding(model, texts),
            "accuracy": float((logits.argmax(-1) == test_labels).mean()),
        }

    return run


if __name__ == "__main__":
    serve(start, ["keras", "keras-hub", "tensorflow"])
