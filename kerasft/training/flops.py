"""How much of a device's arithmetic a language model's training uses.

What a step needs by the model's sizes, over what the device does in a plain matrix
product, measured here and now: no number of a data sheet. The trap: padding, dropped
work and recomputation are no use, so tokens are counted without padding.

Source: Chowdhery et al. 2022 (arXiv:2204.02311), appendix B.
"""

import time
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

SIDE_CPU, SIDE = 512, 4096
REPEATS, PRODUCTS = 3, 8


@dataclass(frozen=True)
class Speed:
    """How fast a model learns.

    Args:
        tokens: a second, without padding.
        share: of `peak` that the model needs for them.
        peak: floating-point operations a second of a matrix product, all devices.
        dtype: of that product.
    """

    tokens: float
    share: float
    peak: float
    dtype: str

    def told(self) -> str:
        """One sentence."""
        return (
            f"{self.tokens:,.0f} tokens a second; the model's arithmetic is "
            f"{self.share:.1%} of what a matrix product in {self.dtype} was measured "
            f"to reach here ({self.peak / 1e9:,.0f} GFLOP/s)."
        )


def operations_per_token(task, length: int) -> float:
    """Floating-point operations of training on one token: 6·N + 12·L·H·Q·T.

    N are the weights that a token is multiplied with (tables that are looked up in are
    not, the one that logits are made with is), L the blocks, H·Q the features of all
    heads, T the tokens of a row. That half of a causal score is not looked at is left
    out of account, as in the source.

    Args:
        task: a `CausalLM`.
        length: tokens of a row.
    """
    config, embedding = task.backbone.config, task.backbone.embedding
    weights = _count(task.weights)
    if not config.tied:
        weights -= config.vocab_size * config.hidden_size
    if embedding.position_embedding is not None:
        weights -= _count(embedding.position_embedding.weights)
    features = config.num_heads * config.cached_size
    return 6.0 * weights + 12.0 * config.num_layers * features * length


def _count(weights):
    return sum(int(np.prod(weight.shape)) for weight in weights)


def measured_peak(dtype: str = "float32") -> float:
    """Floating-point operations a second of a large matrix product on one device.

    The best of a few: others may be using the device, too.
    """
    side = SIDE if tf.config.list_logical_devices("GPU") else SIDE_CPU
    first = tf.cast(tf.random.stateless_normal((side, side), [0, 1]), dtype)
    first = first / tf.cast(side**0.5, dtype)

    @tf.function
    def products(matrix):
        for _ in range(PRODUCTS):
            matrix = tf.matmul(matrix, first)
        return tf.reduce_sum(tf.cast(matrix, "float32"))

    products(first).numpy()
    best = np.inf
    for _ in range(REPEATS):
        start = time.perf_counter()
        products(first).numpy()
        best = min(best, time.perf_counter() - start)
    return 2.0 * side**3 * PRODUCTS / best


def peak_of(task) -> float | None:
    """`measured_peak` of all devices that a language model trains on, in its precision.

    None for other tasks, whose arithmetic is not worked out here, and on JAX, whose
    devices TensorFlow does not see.
    """
    if keras.backend.backend() != "tensorflow":
        return None
    if task.head_name != "causal_lm" or task.training_batches is None:
        return None
    return (
        measured_peak(task.compute_dtype)
        * task.distribute_strategy.num_replicas_in_sync
    )


def speed_of(task, tokens: float, peak: float) -> Speed:
    """What training so many tokens a second comes to."""
    examples = task.training_batches.examples
    needed = operations_per_token(task, examples.tokens() // len(examples))
    return Speed(tokens, tokens * needed / peak, peak, task.compute_dtype)
