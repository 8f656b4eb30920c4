"""Rows of several texts, each an example of its own: what embedders are trained on."""

from dataclasses import dataclass

import numpy as np

from kerasft.data.encoding import Examples, encode_rows
from kerasft.data.rows import Rows
from kerasft.data.tokenizer import Tokenizer


@dataclass(frozen=True)
class TextColumns:
    """The token ids of rows that have several texts.

    In a batch they are (rows, columns, length). Attribute `lengths`: (rows,) tokens of
    the longest text of each row.

    Args:
        columns: of each column the examples, one a row; a row that lacks it has one
            without tokens.
    """

    columns: tuple[Examples, ...]

    def __post_init__(self):
        lengths = np.max([column.lengths for column in self.columns], axis=0)
        object.__setattr__(self, "lengths", lengths)

    def __len__(self):
        return len(self.lengths)

    @property
    def texts_per_row(self) -> int:
        """How many columns there are."""
        return len(self.columns)

    @property
    def truncated(self) -> int:
        """How many texts were cut to the tokenizer's length."""
        return sum(column.truncated for column in self.columns)

    def tokens(self, chosen=slice(None)) -> int:
        """How many tokens the texts of the `chosen` rows have, or of all."""
        return sum(column.tokens(chosen) for column in self.columns)

    def release(self):
        """Give back the memory of what was read from files so far."""
        for column in self.columns:
            column.release()


def encode_columns(rows: Rows, tokenizer: Tokenizer) -> TextColumns:
    """Tokenise each text of rows by itself.

    Raises:
        DataError: there are no rows.
    """
    columns = (encode_rows(rows, tokenizer, name) for name in rows.text_columns)
    return TextColumns(tuple(columns))
