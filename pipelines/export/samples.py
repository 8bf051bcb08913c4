"""Exports of a rung's sequences as the samples of streaming libraries, written by the libraries themselves.

A sample is a sequence, in the order of the stream. Neither library comes with the installation; both bring PyTorch.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from ..ask.rungs import read_sequences
from ..files import store
from .tokens import sides

if TYPE_CHECKING:
    from ..ask.rungs import Result, Rung

CHUNK_BYTES = "64MB"
"""Of a file of litdata; MosaicML's own default is about the same."""


def _library(module: str, extra: str) -> Any:
    """A library that the user asks for.

    Raises:
        UserError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise store.UserError(
            f"--format {extra}: needs a library that is not installed: pip install 'tokenladder[{extra}]' ({error})"
        ) from error


def write_mds(result: Result, rung: Rung, folder: str) -> list[str]:
    """Write MosaicML's shards to `train/`, and the held-out set to `val/`; returns the names of the files.

    Each sample has one field, `tokens`, an array of the sequence length in the dtype of the shards.

    Raises:
        UserError: The library is not installed.
    """
    streaming = _library("streaming", "mds")
    files = []
    for name, one in sides(result, rung, "val"):
        to = store.join(folder, name)
        store.remove_folder(to)  # the library refuses what an interrupted export left
        form = {"tokens": f"ndarray:{result.manifest.tokenizer.dtype}:{result.manifest.sequence_length}"}
        with streaming.MDSWriter(out=to, columns=form) as writer:
            for shard in one.shards:
                for ids in read_sequences(result, shard)[0]:
                    writer.write({"tokens": ids})
        files += [f"{name}/{file}" for file in sorted(os.listdir(to))]
    return files


def write_litdata(result: Result, rung: Rung, folder: str) -> list[str]:
    """Write litdata's chunks to `train/`, and the held-out set to `val/`; returns the names of the files.

    Read them with `StreamingDataset(…, item_loader=TokensLoader(block_size=sequence_length))`. Ids are int32.

    Raises:
        UserError: The library is not installed.
    """
    os.environ.setdefault("LITDATA_DISABLE_VERSION_CHECK", "1")  # it would ask the package index at import
    torch, litdata = _library("torch", "litdata"), _library("litdata", "litdata")
    streaming = _library("litdata.streaming", "litdata")
    files = []
    for name, one in sides(result, rung, "val"):
        to = store.join(folder, name)
        store.remove_folder(to)
        os.makedirs(to)
        loader = litdata.TokensLoader(block_size=result.manifest.sequence_length)
        cache, number = streaming.Cache(to, chunk_bytes=CHUNK_BYTES, item_loader=loader), 0
        for shard in one.shards:
            for ids in read_sequences(result, shard)[0]:
                cache[number] = torch.from_numpy(ids.astype(np.int32))
                number += 1
        cache.done()
        cache.merge()
        files += [f"{name}/{file}" for file in sorted(os.listdir(to))]
    return files
