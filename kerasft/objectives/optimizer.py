"""AdamW as BERT is fine-tuned with it: decoupled decay, global clipping, layer rates.

Differs from `keras.optimizers.AdamW` where that differs from the reference: epsilon is
added to the bias-corrected root (torch's form), biases and norms do not decay, and
under `tf.distribute` the gradients are clipped after they are summed (the train step
sums them), not before.

It stands in `objectives`, not in `training`, because a task's `compile()` makes one.

Source: Loshchilov & Hutter 2019 (arXiv:1711.05101), algorithm 2; layer-wise rates as
in Clark et al. 2020 (ELECTRA, arXiv:2003.10555), appendix B.
"""

import math
import re
from types import SimpleNamespace

import keras
from keras import ops

from kerasft._errors import SettingsError
from kerasft.objectives.schedule import WarmupSchedule

UNDECAYED = ("bias", "gamma", "beta")
LOWEST = -3e38  # Below every weight, within float32 and bfloat16.


def adamw(
    learning_rate: float = 5e-5,
    *,
    total_steps: int | None = None,
    warmup: float = 0.1,
    schedule: str = "linear",
    weight_decay: float = 0.01,
    clip_norm: float | None = 1.0,
    layer_decay: float | None = None,
):
    """The fine-tuning recipe: AdamW with warm-up, decay and clipping.

    Args:
        learning_rate: the peak.
        total_steps: optimizer steps of the run; None: `Task.fit` fills it in.
        warmup: share of the steps spent rising, 0 to 1.
        schedule: "linear", "cosine" or "constant" after the warm-up.
        weight_decay: decoupled; not for biases and norms.
        clip_norm: largest norm of all gradients together; None: no clipping.
        layer_decay: each layer's rate is this times that of the layer above it.
    """
    rate = WarmupSchedule(learning_rate, total_steps, warmup, schedule)
    return AdamW(rate, weight_decay, clip_norm=clip_norm, layer_decay=layer_decay)


@keras.saving.register_keras_serializable("kerasft")
class AdamW(keras.optimizers.Optimizer):
    """Adam with decoupled weight decay.

    Args:
        learning_rate: a number or a schedule.
        weight_decay: share of a weight, times the learning rate, taken off each step.
        beta_1: decay of the gradients' mean.
        beta_2: decay of the squared gradients' mean.
        epsilon: added to the corrected root.
        clip_norm: largest norm of all gradients together; None: no clipping.
        layer_decay: factor between neighbouring layers' rates; None: one rate.

    Attribute `gradient_norm` holds the last step's norm before clipping. A step whose
    norm is not finite changes neither weights nor means.
    """

    # The train step sums gradients over replicas before it calls this optimizer.
    sums_gradients = False

    def __init__(
        self,
        learning_rate=5e-5,
        weight_decay=0.01,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        clip_norm=1.0,
        layer_decay=None,
        name="adamw",
    ):
        super().__init__(learning_rate=learning_rate, name=name)
        if layer_decay is not None and not 0 < layer_decay <= 1:
            raise SettingsError(f"layer_decay is {layer_decay}; it must be in (0, 1].")
        if clip_norm is not None and not clip_norm > 0:
            raise SettingsError(f"clip_norm is {clip_norm}; it must be above 0.")
        self.schedule = (
            learning_rate if isinstance(learning_rate, WarmupSchedule) else None
        )
        self.decay = weight_decay
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.clip_norm = clip_norm
        self.layer_decay = layer_decay

    def build(self, variables):
        """Make both means, and look up each weight's decay and rate by its path."""
        if self.built:
            return
        super().build(variables)
        self._means, self._squares = self.add_optimizer_variables(
            variables, ["mean", "square"]
        )
        self.gradient_norm = self.add_variable((), name="gradient_norm")
        self._scale, self._finite = 1.0, True
        self._step = SimpleNamespace(numbers={})
        self._rates = layer_rates([v.path for v in variables], self.layer_decay)
        self._decays = [
            0.0 if v.path.rsplit("/", 1)[-1] in UNDECAYED else self.decay
            for v in variables
        ]
        self._move = _mover()

    def update_step(self, gradient, variable, learning_rate):
        """Move one weight."""
        i = self._get_variable_index(variable)
        kind = self._rates[i], self._decays[i]
        if kind not in self._step.numbers:
            self._step.numbers[kind] = self._numbers(learning_rate, *kind)
        numbers = self._step.numbers[kind]
        self._move(variable, self._means[i], self._squares[i], gradient, numbers)

    def _numbers(self, learning_rate, factor, decay):
        """What `move` is told of all weights of one factor of the rate and one decay.

        Made once a step: for each weight anew they were half of the step's graph.
        """
        step = ops.cast(self.iterations + 1, "float32")
        rate = ops.cast(learning_rate, "float32") * factor
        rate = ops.where(self._finite, rate, 0.0)
        correction_1 = _correction(self.beta_1, step)
        correction_2 = _correction(self.beta_2, step)
        root = ops.sqrt(correction_2)
        return {
            "finite": self._finite,
            "rate": rate,
            "kept": 1 - rate * decay if decay else None,
            "scale": self._scale,
            "beta_1": ops.where(self._finite, self.beta_1, 1.0),
            "beta_2": ops.where(self._finite, self.beta_2, 1.0),
            "new_1": ops.where(self._finite, 1 - self.beta_1, 0.0),
            "new_2": ops.where(self._finite, 1 - self.beta_2, 0.0),
            "correction_1": correction_1,
            "correction_2": correction_2,
            "epsilon": self.epsilon,
            "kernel_rate": rate * root / correction_1,
            "kernel_epsilon": self.epsilon * root,
            "zero": ops.zeros(()),
        }

    def _clip_gradients(self, gradients):
        """Find the scale with which the common norm is at most clip_norm.

        `update_step` applies it, in the pass over the gradients that it makes anyway.
        """
        self._step = SimpleNamespace(numbers={})
        norm = ops.sqrt(sum(_square_sum(g) for g in gradients if g is not None))
        self.gradient_norm.assign(norm)
        self._finite = ops.isfinite(norm)
        if self.clip_norm is not None:
            # torch.nn.utils.clip_grad_norm_ adds 1e-6, too.
            self._scale = ops.minimum(self.clip_norm / (norm + 1e-6), 1.0)
        return gradients

    def _all_reduce_sum_gradients(self, grads_and_vars):
        """They are summed already: see `sums_gradients`."""
        return list(grads_and_vars)

    def get_config(self):
        """What it was made from."""
        config = super().get_config()
        rate = config["learning_rate"]
        return {
            "name": self.name,
            "learning_rate": rate,
            "weight_decay": self.decay,
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "clip_norm": self.clip_norm,
            "layer_decay": self.layer_decay,
        }


def layer_rates(paths, layer_decay):
    """Factor of the learning rate for each weight path.

    The head has 1, the top block `layer_decay`, each block below it `layer_decay`
    times the one above, the embeddings the least.

    Raises:
        SettingsError: `layer_decay` is given but no path names a block.
    """
    if layer_decay is None:
        return [1.0] * len(paths)
    found = [re.search(r"(?:^|/)block_(\d+)/", path) for path in paths]
    if not any(found):
        raise SettingsError(
            "layer_decay needs weights in numbered blocks (paths like "
            f"'block_3/...'), but there are none; the first path is '{paths[0]}'."
        )
    blocks = 1 + max(int(match[1]) for match in found if match)

    def height(path, match):
        if match:
            return blocks - int(match[1])
        return blocks + 1 if "embedding" in path else 0

    return [layer_decay ** height(*pair) for pair in zip(paths, found, strict=True)]


def move(variable, mean, square, gradient, numbers):
    """One AdamW step on one weight, in Keras operations.

    Args:
        variable: the weight.
        mean: the gradients' mean.
        square: the squared gradients' mean.
        gradient: of the variable's shape.
        numbers: finite (else the gradient counts as 0), rate, kept (share of the weight
            that decay leaves; None: all of it), scale (of the gradient), beta_1 and
            beta_2 (what is kept of the means), new_1 and new_2 (what comes to them),
            correction_1, correction_2, epsilon; and for the kernel of `adam_tensorflow`
            kernel_rate, kernel_epsilon and a zero.
    """
    n = numbers
    dtype = mean.dtype
    gradient = ops.cast(gradient, dtype) * ops.cast(n["scale"], dtype)
    gradient = ops.where(n["finite"], gradient, ops.zeros((), dtype))
    kept_1, new_1, kept_2, new_2 = (
        ops.cast(n[name], dtype) for name in ("beta_1", "new_1", "beta_2", "new_2")
    )
    mean.assign(mean * kept_1 + gradient * new_1)
    square.assign(square * kept_2 + ops.square(gradient) * new_2)
    root = ops.sqrt(square / n["correction_2"]) + n["epsilon"]
    change = n["rate"] / n["correction_1"] * mean / root
    weight = variable
    if n["kept"] is not None:
        # The maximum changes nothing but the rounding: without it a compiler makes one
        # operation of product and difference, which rounds once where torch does twice.
        weight = ops.maximum(variable * ops.cast(n["kept"], variable.dtype), LOWEST)
    variable.assign(ops.cast(weight - change, variable.dtype))


def square_sum(gradient):
    """Sum of squares of one gradient, float32."""
    return ops.sum(ops.square(ops.cast(gradient, "float32")))


def _correction(beta, step):
    """1 - beta^step, float32; the plain formula loses half of the digits at step 1."""
    return -ops.expm1(step * math.log(beta))


def _mover():
    """`move`, in the backend's fastest form."""
    if keras.backend.backend() != "tensorflow":
        return move
    from kerasft.objectives import adam_tensorflow

    return adam_tensorflow.mover(move)


def _square_sum(gradient):
    # The values of a sparse gradient: its repeated rows are merged by the train step.
    sparse = type(gradient).__name__ == "IndexedSlices"
    values = gradient.values if sparse else gradient
    if keras.backend.backend() != "tensorflow":
        return square_sum(values)
    from kerasft.objectives import adam_tensorflow

    return adam_tensorflow.square_sum(values)
