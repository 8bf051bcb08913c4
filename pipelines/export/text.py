"""Exports of a rung's documents as text, for jobs that tokenize themselves: JSON lines and Parquet.

A row is a document: `id` (hex of its hash), `source`, `name`, `stratum`, `tokens`, `whole` and `text`. The text is what
the tokens say, exact to the token: where the rung cuts a document, its text ends there too.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import zstandard

from ..ask.rungs import Names, read_documents
from ..files import store
from ..stages import keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ...tokenizers.protocol import Tokenizer
    from ..ask.rungs import Documents, Result, Rung

ROWS = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("source", pa.string()),
        pa.field("name", pa.string()),
        pa.field("stratum", pa.string()),
        pa.field("tokens", pa.int64()),  # of the rung, the end-of-document token included
        pa.field("whole", pa.bool_()),
        pa.field("text", pa.large_string()),
    ]
)

TORN = 3
"""Tokens of single bytes at most that the beginning of a cut character can have."""

REPLACED = "\N{REPLACEMENT CHARACTER}"

LEVEL = 3
"""Of zstandard; 10 makes files a tenth smaller in five times the time."""


@dataclass
class TextCounts:
    """What an export of texts counted.

    Attributes:
        documents: Rows.
        tokens: Tokens that the rows stand for.
        left_out: Tokens left out because a cut went through a character.
        cut: Rows that are not a whole document: its end is not in the rung, or the study cuts it into pieces.
        as_read: Whole documents whose text is, by its hash, the very text that was read.
    """

    documents: int = 0
    tokens: int = 0
    left_out: int = 0
    cut: int = 0
    as_read: int = 0


def cut_text(tokenizer: Tokenizer, ids: NDArray[Any]) -> tuple[str, int]:
    """The text of a document's first tokens, without the beginning of a character that the cut went through.

    Args:
        tokenizer: The one that made the tokens.
        ids: Tokens without the end-of-document token.

    Returns:
        The text, and how many of the tokens it stands for.

    >>> from tokenladder.tokenizers.raw_bytes import ByteTokenizer
    >>> cut_text(ByteTokenizer(), np.frombuffer("né".encode()[:-1], np.uint8))
    ('n', 1)
    """
    for torn in range(min(TORN, len(ids)) + 1):
        kept = ids[: len(ids) - torn]
        text = tokenizer.decode(kept)
        if not text.endswith(REPLACED):
            return text, len(kept)
        if np.array_equal(tokenizer.encode(pa.array([text]))[1], kept):
            return text, len(kept)  # the document's own replacement character
    return tokenizer.decode(ids), len(ids)


def piece_text(tokenizer: Tokenizer, documents: Documents, n: int) -> tuple[str, int]:
    """The text of a document that is not whole, without the torn characters at its ends.

    Args:
        tokenizer: The one that made the tokens.
        documents: Of a rung.
        n: Which of them.

    Returns:
        The text, and how many of the tokens it stands for, the end-of-document token among them.
    """
    ids = documents.tokens[documents.offsets[n] : documents.offsets[n + 1]]
    ends, torn = int(documents.ends[n]), 0
    ids = ids[: len(ids) - ends]
    while documents.starts[n] and torn < min(TORN, len(ids)) and tokenizer.decode(ids[torn:]).startswith(REPLACED):
        torn += 1
    if ends:
        return tokenizer.decode(ids[torn:]), len(ids) - torn + 1
    return cut_text(tokenizer, ids[torn:])


def _table(documents: Documents, tokenizer: Tokenizer, names: Names, counts: TextCounts) -> pa.Table:
    texts, lengths = [], np.diff(documents.offsets)
    for n, whole in enumerate(documents.whole):
        ids = documents.tokens[documents.offsets[n] : documents.offsets[n + 1]]
        if whole:
            text = tokenizer.decode(ids)
            digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
            counts.as_read += digest == keys.hexadecimal(documents.ids[n])
        else:
            text, kept = piece_text(tokenizer, documents, n)
            counts.left_out += len(ids) - kept
            lengths[n] = kept
        texts.append(text)
    counts.documents += len(texts)
    counts.tokens += int(lengths.sum())
    counts.cut += int((~documents.whole).sum())
    named = names.of(documents.ids)
    return pa.table(
        {
            "id": [keys.hexadecimal(one) for one in documents.ids],
            "source": [source for source, _ in named],
            "name": [name for _, name in named],
            "stratum": documents.strata,
            "tokens": lengths,
            "whole": documents.whole,
            "text": pa.array(texts, pa.large_string()),
        },
        ROWS,
    )


def _tables(result: Result, rung: Rung, counts: TextCounts) -> Iterator[pa.Table]:
    tokenizer, names = result.tokenizer(), Names(result, rung)
    for documents in read_documents(result, rung):
        if len(documents.ids):
            yield _table(documents, tokenizer, names, counts)


def write_jsonl(result: Result, rung: Rung, folder: str) -> tuple[list[str], TextCounts]:
    """Write `00000.jsonl.zst` and so on, a file for what ends in each shard.

    Returns:
        Names of the files, and what was counted.
    """
    files: list[str] = []
    counts = TextCounts()
    for table in _tables(result, rung, counts):
        data = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in table.to_pylist()).encode()
        files.append(f"{len(files):05d}.jsonl.zst")
        store.write_bytes(store.join(folder, files[-1]), zstandard.ZstdCompressor(LEVEL).compress(data))
    return files, counts


def write_parquet(result: Result, rung: Rung, folder: str) -> tuple[list[str], TextCounts]:
    """Write `00000.parquet` and so on, a file for what ends in each shard.

    Returns:
        Names of the files, and what was counted.
    """
    files: list[str] = []
    counts = TextCounts()
    for table in _tables(result, rung, counts):
        files.append(f"{len(files):05d}.parquet")
        store.write_table(store.join(folder, files[-1]), table, compression_level=LEVEL, row_group_size=8192)
    return files, counts
