"""Generation whose settings come with each request, as tensors: for exports."""

from keras import ops

from kerasft.sampling.decode import Decoding
from kerasft.sampling.samplers import cut_by, drawn, likeliest


class ServedDecoding(Decoding):
    """`Decoding` with `temperature`, `top_k`, `top_p` and `seed` in its state, scalars.

    The texts are those of the same numbers as `Sampling`.
    """

    def _chosen(self, logits, state, made):
        """The next token of each row, int32 (rows,)."""
        greedy = likeliest(logits)
        warm = state["temperature"] > 0
        temperature = ops.where(warm, state["temperature"], 1.0)
        logits = cut_by(logits, temperature, state["top_k"], state["top_p"])
        by_chance = drawn(logits, state["seed"], state["rows"], made)
        return ops.where(warm, by_chance, greedy)
