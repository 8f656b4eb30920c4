"""The TensorFlow classes of transformers 4.57 on Keras 2, which version 5 dropped.

`prepare_tf_dataset` pads every batch to its longest row; it cannot group rows of like
length. The last, smaller batch is kept, as every peer keeps it.
"""

import time

import datasets
import tensorflow as tf
import tf_keras
from safetensors.numpy import load_file
from transformers import (
    AutoConfig,
    AutoTokenizer,
    TFAutoModelForSequenceClassification,
    create_optimizer,
)
from transformers.modeling_tf_pytorch_utils import load_pytorch_state_dict_in_tf2_model
from worker import Clock, padding_share, read_rows, serve


class EpochEnds(tf_keras.callbacks.Callback):
    """Marks the end of every epoch on a clock."""

    def __init__(self, clock: Clock):
        super().__init__()
        self.clock = clock

    def on_epoch_end(self, epoch, logs=None):
        self.clock.mark()


def loaded_model(checkpoint: str):
    """Return the classifier with the checkpoint's weights and a fresh head."""
    config = AutoConfig.from_pretrained(checkpoint, num_labels=2)
    model = TFAutoModelForSequenceClassification.from_config(config)
    tensors = load_file(f"{checkpoint}/model.safetensors")
    return load_pytorch_state_dict_in_tf2_model(model, tensors, allow_missing_keys=True)


def encoded(tokenizer, rows, max_length: int) -> datasets.Dataset:
    """Return ids, mask and label of every row, cut to `max_length`, not padded."""
    texts, labels = rows
    columns = tokenizer(texts, truncation=True, max_length=max_length, padding=False)
    return datasets.Dataset.from_dict({**columns, "label": labels})


def accuracy(model, batches) -> float:
    """Return the share of rows whose label gets the highest logit."""
    right = total = 0
    for inputs, labels in batches:
        guesses = tf.argmax(model(inputs).logits, -1, output_type=labels.dtype)
        right += int(tf.reduce_sum(tf.cast(guesses == labels, tf.int32)))
        total += int(tf.size(labels))
    return right / total


def measured_padding(batches) -> float:
    """Return the share of padding in one epoch of batches."""
    masks = [inputs["attention_mask"] for inputs, _ in batches]
    lengths = [int(tf.reduce_sum(mask)) for mask in masks]
    return padding_share(lengths, sum(int(tf.size(mask)) for mask in masks))


def start(job):
    tf.config.threading.set_intra_op_parallelism_threads(job.threads)
    tf.config.threading.set_inter_op_parallelism_threads(job.threads)
    tokenizer = AutoTokenizer.from_pretrained(job.checkpoint)

    def run() -> dict:
        tf_keras.backend.clear_session()
        tf_keras.utils.set_random_seed(job.seed)
        rows = read_rows(job.train)
        began = time.perf_counter()
        examples = encoded(tokenizer, rows, job.max_length)
        tokenised = time.perf_counter()
        model = loaded_model(job.checkpoint)
        loaded = time.perf_counter()
        settings = {"batch_size": job.batch_size, "tokenizer": tokenizer}
        batches = model.prepare_tf_dataset(
            examples, shuffle=True, drop_remainder=False, **settings
        )
        steps = len(batches) * job.epochs
        optimizer, _ = create_optimizer(
            job.learning_rate,
            steps,
            round(job.warmup * steps),
            weight_decay_rate=job.decay,
        )
        model.compile(optimizer=optimizer, jit_compile=bool(job.compile))
        clock = Clock()
        model.fit(batches, epochs=job.epochs, verbose=0, callbacks=[EpochEnds(clock)])
        clock.mark()
        test = model.prepare_tf_dataset(
            encoded(tokenizer, read_rows(job.test), job.max_length),
            shuffle=False,
            **settings,
        )
        return {
            "tokenise_seconds": tokenised - began,
            "load_seconds": loaded - tokenised,
            "fit_seconds": clock.total,
            "epoch_seconds": clock.laps[: job.epochs],
            "padding_share": measured_padding(batches),
            "accuracy": accuracy(model, test),
        }

    return run


if __name__ == "__main__":
    serve(start, ["tensorflow", "tf-keras", "transformers"])
