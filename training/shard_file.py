"""One shard: from the bytes of its Parquet file, checked against the manifest, to arrays over a memory map.

Shards hold lists of integers, because every consumer of Parquet reads those; they decode at some 250 million tokens a
second. So each shard is decoded once, into an Arrow file that is mapped from then on (:mod:`.cache`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..pipelines.files import store

if TYPE_CHECKING:
    from numpy.typing import NDArray

DTYPES = ("uint16", "uint32")


class ShardError(OSError):
    """A shard is missing, or is not what the manifest says."""


@dataclass(frozen=True)
class ShardFile:
    """What the manifest says of a shard.

    Attributes:
        path: Absolute path or address.
        sha256: Of its bytes.
        sequences: Rows.
        length: Tokens in a sequence.
        dtype: `uint16` or `uint32`.
        vocabulary_size: Every token is below it.
    """

    path: str
    sha256: str
    sequences: int
    length: int
    dtype: str
    vocabulary_size: int

    def read(self) -> bytes:
        """Its bytes, after their hash was compared.

        Raises:
            ShardError: The file is missing or has another hash.
        """
        return checked_bytes(self.path, self.sha256)

    def fail(self, what: str) -> ShardError:
        """An error that names this shard."""
        return ShardError(f"{self.path}: {what}, though it has the hash that the manifest expects ({self.sha256}).")


@dataclass(frozen=True)
class Shard:
    """A decoded shard. All arrays are read-only views of a memory map.

    Attributes:
        tokens: Shape (sequences, length).
        bits: uint8 of shape (sequences, ceil(length / 8)); a bit for each token, set where a document begins.
        strata: Stratum of each sequence, as an Arrow dictionary array.
        nbytes: Bytes of the map.
        padding: int32 of shape (sequences,), tokens at each one's end that are padding; None where there is none.
    """

    tokens: NDArray[Any]
    bits: NDArray[np.uint8]
    strata: pa.DictionaryArray
    nbytes: int
    padding: NDArray[np.int32] | None = None


def checked_bytes(path: str, sha256: str) -> bytes:
    """The content of a file, after its hash was compared.

    Raises:
        ShardError: The file is missing or has another hash; the message names the file and both hashes.
    """
    try:
        data = store.read_bytes(path)
    except FileNotFoundError as error:
        raise ShardError(
            f"{path}: is missing. A file with SHA-256 {sha256} is expected. Copy it from where it was built, or build "
            "the study again into the same folder."
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ShardError(
            f"{path}: is damaged or was replaced: SHA-256 {sha256} is expected, {found} was found in "
            f"{len(data):,} bytes. Copy it again, or build the study again into the same folder."
        )
    return data


def decode(shard: ShardFile, data: bytes) -> pa.Table:
    """A shard's Parquet bytes as the table that the cache maps: `tokens`, `bits`, `stratum`, and any `padding`.

    Both types of `input_ids` are read: lists of fixed length, and `fixed_size_binary` of little-endian integers. In the
    bits, padding begins a document of its own.

    Raises:
        ShardError: It is no Parquet, or its rows, lengths, types or token ids are not as the manifest says.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        if file.metadata.num_rows != shard.sequences:
            raise shard.fail(f"holds {file.metadata.num_rows:,} sequences, not {shard.sequences:,}")
        table = file.read(use_threads=False).combine_chunks()
        ids, starts, strata = (table.column(name) for name in ("input_ids", "document_starts", "stratum"))
    except (pa.ArrowException, KeyError) as error:
        raise shard.fail(f"cannot be read as a shard: {error}") from error
    tokens = _tokens(shard, ids.combine_chunks())
    if tokens.size and int(tokens.max()) >= shard.vocabulary_size:
        raise shard.fail(f"holds the token {int(tokens.max())}, but the vocabulary ends before {shard.vocabulary_size}")
    padding = _padding(shard, table)
    bits = _bits(shard, starts.combine_chunks(), padding)
    flat = pa.FixedSizeListArray.from_arrays(pa.array(tokens.reshape(-1)), shard.length)
    packed = pa.FixedSizeListArray.from_arrays(pa.array(bits.reshape(-1)), bits.shape[1])
    columns = {"tokens": flat, "bits": packed, "stratum": strata.combine_chunks().dictionary_encode()}
    return pa.table(columns if padding is None else {**columns, "padding": padding})


def _padding(shard: ShardFile, table: pa.Table) -> NDArray[np.int32] | None:
    if "padding" not in table.column_names:
        return None
    column = table.column("padding").combine_chunks()
    if column.type != pa.int32() or column.null_count:
        raise shard.fail(f"gives its padding as {column.type} with {column.null_count} nulls, not as int32")
    padding: NDArray[np.int32] = column.to_numpy()
    if len(padding) and not 0 <= padding.min() <= padding.max() < shard.length:
        raise shard.fail("has a sequence of less than no padding, or of nothing else")
    return padding


def _tokens(shard: ShardFile, column: pa.Array) -> NDArray[Any]:
    dtype = np.dtype(shard.dtype)
    if pa.types.is_fixed_size_binary(column.type) and column.type.byte_width == shard.length * dtype.itemsize:
        flat = np.frombuffer(column.buffers()[1], dtype.newbyteorder("<"), len(column) * shard.length)
        flat = flat.astype(dtype, copy=False)
    elif pa.types.is_fixed_size_list(column.type) and column.type.list_size == shard.length:
        flat = column.flatten().to_numpy(zero_copy_only=False)
        if flat.dtype != dtype:
            raise shard.fail(f"holds {flat.dtype} tokens, not {dtype}")
    else:
        raise shard.fail(f"holds {column.type}, not {shard.length} {dtype} tokens a sequence")
    if column.null_count or len(flat) != shard.sequences * shard.length:
        raise shard.fail("has sequences that are null")
    return flat.reshape(shard.sequences, shard.length)


def _bits(shard: ShardFile, column: pa.ListArray, padding: NDArray[np.int32] | None) -> NDArray[np.uint8]:
    lists, positions = column.value_lengths().to_numpy(zero_copy_only=False), column.flatten().to_numpy()
    if len(positions) and not 0 <= positions.min() <= positions.max() < shard.length:
        raise shard.fail("has a document that begins outside its sequence")
    dense = np.zeros((shard.sequences, shard.length), np.bool_)
    dense[np.repeat(np.arange(shard.sequences), lists), positions] = True
    if padding is not None:
        padded = np.flatnonzero(padding)
        dense[padded, shard.length - padding[padded]] = True
    return np.packbits(dense, axis=1)


def write_decoded(path: str, table: pa.Table) -> int:
    """Write the table as an Arrow file, uncompressed, so that it can be mapped.

    Args:
        path: A local file.
        table: What `decode` gave.

    Returns:
        Bytes of the file.
    """
    with pa.OSFile(path, "wb") as sink:
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        return sink.tell()  # type: ignore[no-any-return] # an integer


def map_file(path: str, shard: ShardFile) -> Shard | None:
    """A decoded shard as views of its file; None where the file is not a whole one of this shard.

    Raises:
        FileNotFoundError: There is no such file.
    """
    source = pa.memory_map(path)
    try:
        table = pa.ipc.open_file(source).read_all()
        tokens, bits, strata = (table.column(name).chunk(0) for name in ("tokens", "bits", "stratum"))
    except (pa.ArrowException, KeyError, IndexError):  # a power cut can leave a file without its content
        return None
    if len(table) != shard.sequences or tokens.type != pa.list_(pa.from_numpy_dtype(shard.dtype), shard.length):
        return None
    return Shard(
        tokens=view(tokens.flatten()).reshape(shard.sequences, shard.length),
        bits=view(bits.flatten()).reshape(shard.sequences, -1),
        strata=strata,
        nbytes=source.size(),
        padding=view(table.column("padding").chunk(0)) if "padding" in table.column_names else None,
    )


def view(column: pa.Array) -> NDArray[Any]:
    """A column of integers without nulls as numpy's, not copied; `to_numpy` imports pandas, which takes 0.5 s."""
    dtype = np.dtype(str(column.type))
    return np.frombuffer(column.buffers()[1], dtype, len(column), column.offset * dtype.itemsize)
