"""Which examples share a row: as few rows as best-fit decreasing gives.

Source: Johnson 1974, "Fast algorithms for bin packing", section 2: never more than
11/9 of the fewest rows there could be, and 4.
"""

import numpy as np


def best_fit(lengths: np.ndarray, room: int) -> np.ndarray:
    """The row of each example, (examples,): the fullest that has room for it.

    Args:
        lengths: of the examples, at most `room`; the longest is placed first.
        room: tokens of a row.
    """
    order = np.argsort(-lengths, kind="stable")
    by_space = [[] for _ in range(room + 1)]
    spaces, rows = 0, 0  # Bit i of `spaces`: some row has room for i tokens more.
    row_of = np.empty(len(order), "int64")
    for example, length in zip(order.tolist(), lengths[order].tolist(), strict=True):
        fitting = spaces >> length
        if fitting:
            space = length + (fitting & -fitting).bit_length() - 1
            row = by_space[space].pop()
            if not by_space[space]:
                spaces ^= 1 << space
        else:
            row, space, rows = rows, room, rows + 1
        row_of[example] = row
        by_space[space - length].append(row)
        spaces |= 1 << (space - length)
    return row_of
