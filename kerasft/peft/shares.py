"""How much of a model is trained, and what that costs."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class AdapterShares:
    """Numbers of weights, and bytes.

    Args:
        total: all weights of the model, the adapter's among them.
        trained: those that are trained.
        head: those of the trained ones that are the head's.
        adapter_bytes: size of what `save_adapter` writes, in float32.
        optimizer_bytes: of the two means that AdamW keeps of each trained weight.
    """

    total: int
    trained: int
    head: int
    adapter_bytes: int
    optimizer_bytes: int

    @classmethod
    def of(cls, task):
        """Count a task's weights."""
        head = {id(weight) for weight in task.head.weights}
        trained = task.trainable_variables
        count = sum(_size(weight) for weight in trained)
        adapter = task.working_adapter
        unsaved = 0 if adapter is None else adapter.method.num_unsaved(adapter)
        return cls(
            total=sum(_size(weight) for weight in task.weights),
            trained=count,
            head=sum(_size(weight) for weight in trained if id(weight) in head),
            adapter_bytes=4 * (count - unsaved),
            optimizer_bytes=8 * count,
        )

    @property
    def share(self) -> float:
        """Trained share of all weights, 0 to 1."""
        return self.trained / self.total

    @property
    def share_without_head(self) -> float:
        """The same without the head's."""
        return (self.trained - self.head) / self.total

    def __str__(self):
        return (
            f"trained {self.trained:,} of {self.total:,} weights "
            f"({self.share:.3%}; without the head {self.trained - self.head:,}, "
            f"{self.share_without_head:.3%}); "
            f"adapter {self.adapter_bytes / 1e6:.2f} MB, "
            f"optimizer state {self.optimizer_bytes / 1e6:.2f} MB"
        )


def _size(weight):
    return int(np.prod(weight.shape))
