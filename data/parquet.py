"""Rows of a Parquet file, whose few bytes may stand for far more: known by size before they are made.

A dictionary writes a long text once and refers to it a thousand times; it is kept in that form until a
row is wanted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

BATCH_ROWS = 500
BATCH_BYTES = 64 << 20
NO_DICTIONARY = "Not yet implemented: DecodeArrow of DictAccumulator"
CELL_BYTES = 8  # what a cell costs beside its text


def usable_columns(table: pq.ParquetFile, names: Sequence[str]) -> list[str]:
    """Return which of the columns hold texts, numbers, times or lists of them: all a message is made of."""
    return [field.name for field in table.schema_arrow if field.name in names and _is_usable(field.type)]


def bounded_batches(
    file: BinaryIO, table: pq.ParquetFile, columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of some usable columns; ``table`` is the opened ``file``.

    Nothing is asked of a column's own metadata: pyarrow ends the process where that is damaged.

    Raises:
        pyarrow.ArrowException, OSError, ValueError: while iterating: the file is damaged.
    """
    import pyarrow.parquet as pq

    leaves = [table.schema.column(number) for number in range(len(table.schema))]
    paths = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
    compact = pq.ParquetFile(file, read_dictionary=paths)
    for group in range(table.num_row_groups):
        size = max(1, table.metadata.row_group(group).total_byte_size)
        rows = table.metadata.row_group(group).num_rows * BATCH_BYTES // size
        chosen = {"row_groups": [group], "columns": columns}
        done = 0
        try:
            for batch in compact.iter_batches(batch_size=max(1, min(BATCH_ROWS, rows)), **chosen):
                yield batch
                done += batch.num_rows
        except OSError as error:
            if not str(error).startswith(NO_DICTIONARY):
                raise
            # texts written as what differs from the one before: each row may be as long as all of them
            yield from islice(table.iter_batches(batch_size=1, **chosen), done, None)


def _is_usable(kind: pa.DataType) -> bool:
    import pyarrow.types as of

    if _is_list(kind):
        kind = kind.value_type
    if of.is_dictionary(kind):
        kind = kind.value_type
    tests = (_is_text, of.is_integer, of.is_floating, of.is_timestamp, of.is_null)
    return any(test(kind) for test in tests)


def _is_list(kind: pa.DataType) -> bool:
    import pyarrow.types as of

    return of.is_list(kind) or of.is_large_list(kind) or of.is_fixed_size_list(kind)


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow.types as of

    return of.is_string(kind) or of.is_large_string(kind) or of.is_string_view(kind)


def bytes_of_rows(batch: pa.RecordBatch) -> list[int]:
    """Return about how many bytes each row of a batch takes once it is made."""
    total = np.zeros(batch.num_rows, np.int64)
    for column in batch.columns:
        total += _bytes_of_lists(column) if _is_list(column.type) else _bytes_of_cells(column)
    return [int(each) for each in total]


def _bytes_of_lists(column: pa.Array) -> np.ndarray:
    import pyarrow.compute as pc

    before = np.concatenate([[0], np.cumsum(_bytes_of_cells(column.flatten()))])
    ends = np.cumsum(pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False))
    return np.diff(before[ends], prepend=0)


def _bytes_of_cells(column: pa.Array) -> np.ndarray:
    import pyarrow as pa
    import pyarrow.compute as pc

    values = column.dictionary if isinstance(column, pa.DictionaryArray) else column
    if not _is_text(values.type):
        return np.full(len(column), CELL_BYTES, np.int64)
    lengths = pc.binary_length(values)
    if isinstance(column, pa.DictionaryArray):
        lengths = lengths.take(column.indices)
    return pc.fill_null(lengths, 0).to_numpy(zero_copy_only=False).astype(np.int64) + CELL_BYTES
