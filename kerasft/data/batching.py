"""Which examples make up which batch.

All lengths are known, so a batch can hold examples of like length, padded to one of a
few fixed lengths (so that a compiler sees few shapes) with little padding. The order
is a function of seed and epoch alone: batch 17 of epoch 2 is the same in every run.
"""

from dataclasses import dataclass, field

import numpy as np

from kerasft._errors import SettingsError


@dataclass(frozen=True)
class BatchPlan:
    """The batches of every epoch.

    Args:
        lengths: (examples,) tokens of each example.
        batch_size: examples in a batch; with `tokens_per_batch`, the most there may be.
        shuffle: a new order each epoch.
        group_by_length: batches of like length; otherwise as the order falls.
        seed: of the shuffling.
        tokens_per_batch: the most tokens, padding included, that a batch may hold.
        max_shapes: how many different padded lengths there may be.
        texts_per_row: how many texts, each padded to that length, an example has.

    Raises:
        SettingsError: a number outside what it may be.
    """

    lengths: np.ndarray = field(repr=False)
    batch_size: int
    shuffle: bool = False
    group_by_length: bool = False
    seed: int = 0
    tokens_per_batch: int | None = None
    max_shapes: int = 16
    texts_per_row: int = 1

    def __post_init__(self):
        for name in ("batch_size", "max_shapes"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}; at least 1.")
        longest = int(self.lengths.max()) * self.texts_per_row
        if self.tokens_per_batch is not None and self.tokens_per_batch < longest:
            raise SettingsError(
                f"tokens_per_batch is {self.tokens_per_batch}, but the longest example "
                f"has {longest} tokens. Allow at least that, or set a smaller "
                "max_length."
            )
        if self.tokens_per_batch is not None and not self.group_by_length:
            raise SettingsError("tokens_per_batch needs group_by_length=True.")
        shapes = best_lengths(self.lengths, self.max_shapes)
        object.__setattr__(self, "shapes", shapes)
        shape = np.searchsorted(shapes, self.lengths)
        # Few bits: less memory, and sorted without comparisons.
        shape = shape.astype(np.min_scalar_type(len(shapes)))
        object.__setattr__(self, "_shape", shape)
        object.__setattr__(self, "_bounds", self._cut())

    def __len__(self):
        return len(self._bounds) - 1

    def rows_at(self, shape: int) -> int:
        """Examples in a full batch padded to `shape` tokens."""
        if self.tokens_per_batch is None:
            return self.batch_size
        tokens = int(shape) * self.texts_per_row
        return min(self.batch_size, self.tokens_per_batch // tokens)

    def _cut(self):
        """Where batches begin in the order of an epoch, and where the last one ends.

        Grouped: shape after shape; what is left of one shape goes with the next.
        """
        total = len(self.lengths)
        if not self.group_by_length:
            return np.append(np.arange(0, total, self.batch_size), total)
        ends = np.cumsum(np.bincount(self._shape, minlength=len(self.shapes)))
        pieces, position = [], 0
        for shape, end in zip(self.shapes, ends, strict=True):
            rows = self.rows_at(shape)
            count = (end - position) // rows
            pieces.append(position + rows * np.arange(count))
            position += rows * count
        if position < total:
            pieces.append([position])
        return np.append(np.concatenate(pieces), total).astype("int64")

    def order(self, epoch: int):
        """Numbers of all examples as epoch `epoch` takes them, and the batches' order.

        Returns:
            (examples, batches): batch k is `examples[bounds[b] : bounds[b + 1]]` with
            `b = batches[k]`; see `batch`.
        """
        random = np.random.default_rng([self.seed, epoch])
        total = len(self.lengths)
        order = random.permutation(total) if self.shuffle else np.arange(total)
        if self.group_by_length:
            order = order[np.argsort(self._shape[order], kind="stable")]
        batches = np.arange(len(self))
        if self.group_by_length and self.shuffle:
            batches = random.permutation(len(self))
        return order, batches

    def batch(self, order, step: int):
        """Example numbers of batch `step` of an `order`, and its padded length."""
        examples, batches = order
        start, stop = self._bounds[batches[step] : batches[step] + 2]
        chosen = examples[start:stop]
        return chosen, int(self.shapes[self._shape[chosen].max()])

    def padding_share(self, epoch: int = 0) -> float:
        """Share of all positions of an epoch that hold no token, 0 to 1."""
        examples, _ = self.order(epoch)
        widest = np.maximum.reduceat(self._shape[examples], self._bounds[:-1])
        places = (np.diff(self._bounds) * np.asarray(self.shapes)[widest]).sum()
        return 1.0 - float(self.lengths.sum(dtype="int64")) / float(places)


def best_lengths(lengths: np.ndarray, most: int) -> np.ndarray:
    """The at most `most` padded lengths with the least padding for these examples.

    Exact, by dynamic programming over the lengths that occur: with lengths sorted,
    cost(j, k) = min over i < j of cost(i, k - 1) + examples(i..j) x length(j).
    """
    found, counts = np.unique(lengths, return_counts=True)
    if len(found) <= most:
        return found
    before = np.append(0, np.cumsum(counts))
    cost = before[1:] * found.astype("float64")  # one padded length
    choices = []
    for _ in range(most - 1):
        # options[i, j]: lengths up to i as before, those in (i, j] padded to j.
        inside = (before[None, 1:] - before[1:, None]) * found[None, :]
        options = np.where(inside >= 0, cost[:, None] + inside, np.inf)
        choices.append(options.argmin(axis=0))
        cost = options.min(axis=0)
    chosen, j = [len(found) - 1], len(found) - 1
    for choice in reversed(choices):
        j = choice[j]
        chosen.append(j)
    return found[np.unique(chosen)]
