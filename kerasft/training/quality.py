"""What every report of predictions can tell, and how its tables are set."""

import abc
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rich.cells import cell_len, set_cell_size  # Chinese takes two columns.


@dataclass(frozen=True)
class Mistake:
    """One row that was predicted wrongly.

    `row` counts from 0; `score` says how wrong: the probability given to the wrong
    label, or for regression the distance.
    """

    row: int
    label: str
    predicted: str
    score: float


@dataclass(frozen=True, eq=False)
class Report(abc.ABC):
    """Quality of predictions. Made by `report`.

    Args:
        labels: names, in the order of the columns of `outputs`.
        y_true: class numbers (rows,), 0/1 (rows, labels) or numbers (rows[, labels]).
        outputs: (rows, labels) probabilities, or predicted numbers.
    """

    labels: tuple[str, ...]
    y_true: np.ndarray
    outputs: np.ndarray

    @property
    @abc.abstractmethod
    def metrics(self) -> dict[str, float]:
        """Every number by name, such as "f1_macro" or "f1/sport"."""

    @abc.abstractmethod
    def text(self) -> str:
        """The numbers as a plain-text table."""

    @abc.abstractmethod
    def figures(self) -> dict:
        """Name -> matplotlib `Figure`."""

    @abc.abstractmethod
    def mistakes(self, most: int = 20) -> list[Mistake]:
        """The worst mistakes, worst first."""

    def curve_data(self) -> dict[str, tuple]:
        """Name -> (0/1 truth, probability), what precision and recall are of."""
        return {}


def table(header: Sequence[str], rows: Iterable[Sequence]) -> list[str]:
    """Lines of a plain-text table: the first column to the left, numbers aligned."""
    cells = [list(header), *([str(first), *map(_cell, rest)] for first, *rest in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            [set_cell_size(name, widths[0]), *map(str.rjust, numbers, widths[1:])]
        )
        for name, *numbers in cells
    ]


def lines(numbers: Mapping[str, float]) -> list[str]:
    """One line a number: its name, then its value."""
    return [f"{name}: {value:.4f}" for name, value in numbers.items()]


def _cell(value):
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
