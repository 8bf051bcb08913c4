"""Exports of a rung's tokens in the forms that training frameworks read.

- `nanogpt`: `train.bin`, the ids of all sequences in the order of the stream, uint16 or uint32, little-endian, with no
  header. Read it in windows of the study's sequence length to train on the very sequences of the rung; then every
  prefix of the file is mixed as the rung is.
- `megatron`: `train.bin` and `train.idx` of Megatron-LM's indexed datasets, a sequence for each document. Megatron cuts
  and shuffles by itself. Ids of more than 16 bits are int32 there: it knows no uint32.

The held-out set, where there is one, is written beside it as `val` (for Megatron, `valid`).
"""

from __future__ import annotations

import os
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from ..ask.rungs import read_documents, read_sequences
from ..files import store
from ..files.schema import HELD_OUT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from numpy.typing import NDArray

    from ..ask.rungs import Result, Rung

LONGEST = 2**31 - 1
"""Tokens of a document at most: Megatron keeps lengths as int32."""

_MEGATRON_CODES = {"uint16": 8, "uint32": 4}
"""By our dtype, the code of Megatron's: uint16 and int32."""


@contextmanager
def _growing(path: str) -> Iterator[BinaryIO]:
    """A local file that appears under its name once it is whole."""
    folder, name = os.path.split(path)
    os.makedirs(folder, exist_ok=True)
    temporary = os.path.join(folder, store.temporary_name(name))
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        store.remove(temporary)
        raise


def sides(result: Result, rung: Rung, held_out: str) -> list[tuple[str, Rung]]:
    """The rung as `train`, and the held-out set where there is one and the rung is not itself."""
    rungs = result.rungs()
    beside = [(held_out, rungs[HELD_OUT])] if HELD_OUT in rungs and rung.name != HELD_OUT else []
    return [("train", rung), *beside]


def write_nanogpt(result: Result, rung: Rung, folder: str) -> list[str]:
    """Write `train.bin`, and `val.bin` of the held-out set; returns the names of the files."""
    files = []
    for name, one in sides(result, rung, "val"):
        files.append(f"{name}.bin")
        with _growing(store.join(folder, files[-1])) as file:
            for shard in one.shards:
                ids = read_sequences(result, shard)[0]
                file.write(np.ascontiguousarray(ids, ids.dtype.newbyteorder("<")).data)
    return files


def write_megatron(result: Result, rung: Rung, folder: str) -> list[str]:
    """Write `train.bin` and `train.idx`, and the same of the held-out set as `valid`; returns the names of the files.

    Raises:
        UserError: A document is longer than Megatron can say.
    """
    files = []
    dtype = np.dtype("<u2" if result.manifest.tokenizer.dtype == "uint16" else "<i4")
    for name, one in sides(result, rung, "valid"):
        lengths = []
        with _growing(store.join(folder, f"{name}.bin")) as file:
            for documents in read_documents(result, one):
                lengths.append(np.diff(documents.offsets))
                file.write(documents.tokens.astype(dtype, copy=False).data)
        sizes = np.concatenate(lengths)
        if sizes.max(initial=0) > LONGEST:
            raise store.UserError(
                f"{one.name}: a document has {sizes.max():,} tokens; Megatron's files hold {LONGEST:,}."
            )
        store.write_bytes(store.join(folder, f"{name}.idx"), _index(sizes, result.manifest.tokenizer.dtype))
        files += [f"{name}.bin", f"{name}.idx"]
    return files


def _index(sizes: NDArray[np.int64], dtype: str) -> bytes:
    """Megatron's index (`megatron/core/datasets/indexed_dataset.py`): header, dtype, lengths, pointers, documents."""
    width = np.dtype(dtype).itemsize
    pointers = (np.cumsum(sizes) - sizes) * width
    head: bytes = struct.pack("<9sQBQQ", b"MMIDIDX\0\0", 1, _MEGATRON_CODES[dtype], len(sizes), len(sizes) + 1)
    documents = np.arange(len(sizes) + 1)
    arrays = (sizes.astype("<i4"), pointers.astype("<i8"), documents.astype("<i8"))
    return b"".join([head, *(one.tobytes() for one in arrays)])
