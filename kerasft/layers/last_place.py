"""The last place in a row where something held, for every place of the row.

`ops.associative_scan` would do, but not on TensorFlow where the length is open.
"""

from keras import ops

LONGEST = 2**14  # Of rows whose length is open.


def last_place(flags):
    """At each place the last place up to it where the flag is set; -1: none.

    Args:
        flags: bool (batch, length).

    Returns:
        int32 (batch, length).
    """
    length = ops.shape(flags)[1]
    last = ops.where(flags, ops.arange(length, dtype="int32"), -1)
    reach = 1  # So many places are looked back over so far.
    while reach < (flags.shape[1] or LONGEST):
        back = ops.pad(last, ((0, 0), (reach, 0)), constant_values=-1)[:, :length]
        last = ops.maximum(last, back)
        reach *= 2
    return last
