"""The budget of ranks that AdaLoRA's triplets share.

After each step the importance of every weight w is noted, |w · gradient|, smoothed,
and its uncertainty; their product, summed over a triplet (A and B by their means), is
its score. Where the budget says so, the lowest triplets get E = 0.

Source: Zhang et al. 2023 (arXiv:2303.10512), sections 3.2 and 3.3, algorithm 1.
"""

import keras
from keras import ops

from kerasft.peft.triplets import FIRST


class Budget(keras.layers.Layer):
    """Importance of the triplets, and who is kept.

    Args:
        method: the `AdaLoRA` settings.
        layers: its `Triplets`.

    Attribute `total` is the number of steps of the run; `fit` sets it.
    """

    def __init__(self, method, layers, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        object.__setattr__(self, "layers", layers)  # They are the adapter's.
        self.method = method
        self.total = method.total_steps
        self.steps = self.add_weight(
            (), "zeros", "int32", trainable=False, name="steps", aggregation=FIRST
        )
        notes = {}
        for i, layer in enumerate(layers):
            for name in ("lora_a", "lora_e", "lora_b"):
                weight = getattr(layer, name)
                notes[id(weight)] = [
                    self._zeros(weight.shape, f"{kind}_{name}_{i}")
                    for kind in ("importance", "uncertainty")
                ]
        object.__setattr__(self, "notes", notes)
        self.built = True

    def _zeros(self, shape, name):
        return self.add_weight(
            shape, "zeros", trainable=False, name=name, aggregation=FIRST
        )

    def step(self, gradients):
        """One step was taken.

        Args:
            gradients: id of a weight -> its gradient, of this step.
        """
        self.steps.assign(self.steps + 1)
        settings, step = self.method, self.steps
        last = self.total - settings.final_steps
        noting = ops.cast(step < last, "float32")
        for layer in self.layers:
            for weight in (layer.lora_a, layer.lora_e, layer.lora_b):
                self._note(weight, gradients[id(weight)], noting)
        looks = ops.logical_and(step > settings.warmup_steps, step < last)
        looks = ops.logical_and(looks, step % settings.every == 0)
        looks = ops.logical_or(looks, ops.equal(step, last))
        self._share_out(step, last, looks)

    def _note(self, weight, gradient, noting):
        """Smooth the importance of a weight and its uncertainty, if `noting` is 1."""
        importance, uncertainty = self.notes[id(weight)]
        beta1, beta2 = self.method.beta1, self.method.beta2
        now = ops.absolute(weight * gradient)
        mean = beta1 * importance + (1 - beta1) * now
        spread = beta2 * uncertainty + (1 - beta2) * ops.absolute(now - mean)
        importance.assign(noting * mean + (1 - noting) * importance)
        uncertainty.assign(noting * spread + (1 - noting) * uncertainty)

    def _scores(self, layer):
        """(rank,) of a layer's triplets."""

        def score(weight):
            importance, uncertainty = self.notes[id(weight)]
            return importance * uncertainty

        first = ops.mean(score(layer.lora_a), axis=0)
        last = ops.mean(score(layer.lora_b), axis=1)
        return score(layer.lora_e)[:, 0] + first + last

    def budget(self, step, last):
        """How many triplets are kept at a step."""
        settings, count = self.method, len(self.layers)
        begun, target = count * settings.init_rank, count * settings.target_rank
        passed = ops.cast(step - settings.warmup_steps, "float32")
        left = 1 - passed / (last - settings.warmup_steps)
        left = ops.clip(left, 0.0, 1.0)
        return ops.cast(ops.floor((begun - target) * left**3 + target), "int32")

    def _share_out(self, step, last, looks):
        """Set E of the lowest triplets to 0, where it is time to look."""
        scores = [self._scores(layer) for layer in self.layers]
        every = ops.sort(ops.concatenate(scores))
        count = every.shape[0]
        dropped = count - self.budget(step, last)
        threshold = ops.take(every, ops.maximum(dropped - 1, 0))
        looks = ops.logical_and(looks, dropped > 0)
        held = step > last  # The last look's choice stays.
        for layer, found in zip(self.layers, scores, strict=True):
            kept = ops.cast(found > threshold, "float32")
            kept = ops.where(looks, kept, layer.kept + 0.0)
            layer.kept.assign(kept)
            zeroed = ops.where(ops.logical_or(looks, held), kept, ops.ones_like(kept))
            layer.lora_e.assign(layer.lora_e * zeroed[:, None])
