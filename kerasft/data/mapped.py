"""A file as memory that can be given back.

In: the path of a file that will not change. Out: its bytes, read when touched.

The trap: what was touched counts as memory of the process until the system wants it.
So whoever passes over a large file calls `release` on the way.
"""

import mmap
import sys


class MappedFile(mmap.mmap):
    """The bytes of a file, to be read only."""

    def __new__(cls, path):
        """Map the file `path`, which must not be empty."""
        with open(path, "rb") as file:
            return super().__new__(cls, file.fileno(), 0, access=mmap.ACCESS_READ)

    def release(self):
        """Give back what was read so far; touched again, it is read again."""
        if sys.platform != "win32":
            self.madvise(mmap.MADV_DONTNEED)
