"""Gather rows into one Arrow table: in memory when small, in a mapped file when not.

The content (texts, pairs, labels, in order) is hashed while it streams through, so that
the fingerprint costs no second pass and does not depend on how the rows were cut into
blocks. A file in the cache folder is complete or absent: it gets its name at the end.
"""

import hashlib
import os
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa

from kerasft._errors import DataError
from kerasft.data.cache import cache_folder
from kerasft.data.mapped import MappedFile

SPILL_BYTES = 256 * 2**20
_BATCH_BYTES = 16 * 2**20  # blocks are joined up to this, so that a table has few
_PLACE = ("source", "line")


class RowStore:
    """A table that grows; as a context manager it leaves no half-written file."""

    def __init__(self):
        self._batches, self._pending = [], []
        self._bytes = self._pending_bytes = self.rows = 0
        self._hashes = {}
        self._file = self._writer = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._file:
            self._file.close()
            Path(self._file.name).unlink(missing_ok=True)

    def append(self, columns: dict[str, pa.Array]):
        """Add rows: `text`, `text_pair` and `label` as there are, `source`, `line`."""
        batch = pa.record_batch(columns)
        for name, column in columns.items():
            _hash_into(self._hashes, name, column)
        self.rows += batch.num_rows
        self._pending.append(batch)
        self._pending_bytes += batch.nbytes
        if self._pending_bytes > _BATCH_BYTES:
            self._flush()

    def finish(self) -> tuple[pa.Table, str, MappedFile | None]:
        """The table, the fingerprint of its content (hex), and the file it lies in."""
        self._flush()
        content = self._digest(lambda name: name.split("/")[0] not in _PLACE)
        if self._writer is None:
            table = pa.Table.from_batches(self._batches).combine_chunks()
            return table, content, None
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        final = cache_folder() / f"rows-{self._digest(lambda name: True)}.arrow"
        os.replace(self._file.name, final)
        mapped = MappedFile(final)
        return pa.ipc.open_file(pa.py_buffer(mapped)).read_all(), content, mapped

    def _flush(self):
        if not self._pending:
            return
        batches = pa.Table.from_batches(self._pending).combine_chunks().to_batches()
        self._bytes += self._pending_bytes
        self._pending, self._pending_bytes = [], 0
        if self._writer is None:
            self._batches += batches
            if self._bytes <= SPILL_BYTES:
                return
            batches, self._batches = self._batches, []
            self._open(batches[0].schema)
        try:
            for batch in batches:
                self._writer.write_batch(batch)
        except OSError as error:
            raise _cannot_write(error) from error

    def _open(self, schema):
        try:
            self._file = tempfile.NamedTemporaryFile(
                dir=cache_folder(), prefix="rows-", suffix=".part", delete=False
            )
        except OSError as error:
            raise _cannot_write(error) from error
        self._writer = pa.ipc.new_file(self._file, schema)

    def _digest(self, wanted):
        digest = hashlib.sha256()
        for name in sorted(filter(wanted, self._hashes)):
            digest.update(f"{name}:{self._hashes[name].hexdigest()};".encode())
        return digest.hexdigest()


def _cannot_write(error):
    return DataError(
        f"Cannot write a large corpus to the cache: {error}. Free some space, or name "
        "another folder in KERASFT_CACHE."
    )


def _hash_into(hashes, name, column):
    """Hash values and lengths apart: the result is the same however rows are cut."""
    if pa.types.is_large_list(column.type) or pa.types.is_large_string(column.type):
        offsets = np.frombuffer(column.buffers()[1], np.int64)
        offsets = offsets[column.offset : column.offset + len(column) + 1]
        _update(hashes, f"{name}/length", np.diff(offsets))
        if pa.types.is_large_list(column.type):
            _hash_into(hashes, f"{name}/item", column.flatten())
        else:
            data = column.buffers()[2]
            _update(
                hashes,
                name,
                memoryview(data)[offsets[0] : offsets[-1]] if data else b"",
            )
    else:
        _update(hashes, f"{name}/{column.type}", column.to_numpy(zero_copy_only=False))


def _update(hashes, name, data):
    hashes.setdefault(name, hashlib.sha256()).update(data)
