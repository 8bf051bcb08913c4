"""Texts to train a tokenizer on, and to measure tokenizers with: a recipe's own stream, or files.

The stream of a recipe is mixed by its weights in every prefix, so its first documents are a sample by strata. Files are
sampled by a hash of each text, in proportion to how much each holds.
"""

from __future__ import annotations

import hashlib
import heapq
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from ...filters.measures.fasttext import FastText
from ...tokenizers.loading import guess_kind, load
from ...tokenizers.sections import BytesSection, HuggingFaceSection, SentencePieceSection, TiktokenSection
from ..ask.rungs import Names, open_result, read_documents
from ..export.text import piece_text
from ..files import store
from ..formats import Source, documents

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...tokenizers.protocol import Tokenizer
    from ..ask.rungs import Result, Rung

MEASURED = 10
"""One document in so many is measured and not trained on."""

ENDINGS = {
    "jsonl": (".jsonl", ".jsonl.gz", ".jsonl.zst"),
    "parquet": (".parquet",),
    "warc": (".warc", ".warc.gz", ".warc.zst"),
    "wet": (".wet", ".wet.gz"),
    "zip": (".zip",),
    "tar": (".tar", ".tar.gz", ".tgz", ".tar.zst"),
}
"""What the name of a file says of its format; anything else is a text as it stands, or a folder of such."""


@dataclass(frozen=True)
class Text:
    """A document.

    Attributes:
        text: What it says.
        source: Where it is from.
        stratum: Of a recipe's documents, their stratum; empty for files.
        whole: Whether the rung does not cut it.
        ends: Whether the rung has its end.
    """

    text: str
    source: str
    stratum: str = ""
    whole: bool = True
    ends: bool = True


def of_rung(result: Result, rung: Rung) -> Iterator[Text]:
    """Every document of a rung, in the order in which they end in its stream, once for each pass."""
    tokenizer, names = result.tokenizer(), Names(result, rung)
    for batch in read_documents(result, rung):
        for n, (source, _) in enumerate(names.of(batch.ids)):
            ids = batch.tokens[batch.offsets[n] : batch.offsets[n + 1]]
            text = tokenizer.decode(ids) if batch.whole[n] else piece_text(tokenizer, batch, n)[0]
            yield Text(text, source, batch.strata[n], bool(batch.whole[n]), bool(batch.ends[n]))


def of_files(paths: Sequence[str], size: int) -> Iterator[Text]:
    """Texts of files and folders by a hash of each, each once; no more than hold `size` bytes, as far as there are.

    Raises:
        UserError: There is no such file.
    """
    kept: list[tuple[int, bytes, Text]] = []  # a heap whose first is the one to leave out next
    seen: set[bytes] = set()
    held = 0
    for one in (text for path in paths for text in _of_path(path)):
        data = one.text.encode()
        digest = hashlib.blake2b(data, digest_size=16).digest()
        if digest in seen or not data:
            continue
        seen.add(digest)
        held += len(data)
        heapq.heappush(kept, (-int.from_bytes(digest), digest, one))
        while held - len(kept[0][2].text.encode()) >= size:
            held -= len(heapq.heappop(kept)[2].text.encode())
    for _, _, one in sorted(kept, key=lambda item: item[1]):
        yield one


def _of_path(path: str) -> Iterator[Text]:
    path = store.absolute(path)
    kind = next((name for name, ends in ENDINGS.items() if path.lower().endswith(ends)), "tree")
    if not store.is_remote(path) and not os.path.exists(store.fixed_root(path)):
        raise store.UserError(f"{path}: there is no such file or folder.")
    source = Source(format=kind, path=(path,))
    files = source.list_files()
    for piece in source.slices(files, source.root(files)):
        for batch in documents(source, piece):
            for text in batch.column("text").drop_null().to_pylist():
                yield Text(text, path.rstrip("/").rpartition("/")[2])


def sample(texts: Iterator[Text], size: int) -> tuple[list[Text], list[Text]]:
    """Documents to train on until they hold `size` bytes, and those between them that are only measured.

    Documents that come again, and those that a rung cuts, are left out.

    >>> train, measured = sample(iter([Text(str(n), "web") for n in range(99)]), size=12)
    >>> [one.text for one in train], [one.text for one in measured]
    (['0', '1', '2', '3', '4', '5', '6', '7', '8', '10', '11'], ['9'])
    """
    train: list[Text] = []
    measured: list[Text] = []
    seen: set[bytes] = set()
    for one in texts:
        digest = hashlib.blake2b(one.text.encode(), digest_size=16).digest()
        if not one.whole or digest in seen:
            continue
        seen.add(digest)
        if len(seen) % MEASURED == 0:
            measured.append(one)
            continue
        train.append(one)
        size -= len(one.text.encode())
        if size <= 0:
            break
    return train, measured


def languages(texts: Sequence[str]) -> list[str]:
    """The language of each text by lid.176.ftz, which the installation brings; `?` where it has no words."""
    found = FastText(model="lid.176.ftz").score(pa.record_batch({"text": pa.array(texts, pa.string())}))
    return [label.removeprefix("__label__") or "?" for label in found.column("label").fill_null("?").to_pylist()]


def open_tokenizer_at(given: str) -> Tokenizer:
    """A tokenizer as a person names one.

    Args:
        given: A file (tokenizer.json, a SentencePiece model), the folder of a finished build, `bytes`, or
            `tiktoken:NAME` for an encoding of tiktoken.

    Raises:
        UserError: It is none of these.
    """
    if given == "bytes":
        return load(BytesSection(), Path())
    try:
        if given.startswith("tiktoken:"):
            return load(TiktokenSection(encoding=given.removeprefix("tiktoken:")), Path())
        if Path(given).is_dir():
            return open_result(given).tokenizer()
        kind = guess_kind(Path(given).read_bytes())
        if kind == "sentencepiece":
            return load(SentencePieceSection(path=given), Path())
        if kind == "huggingface":
            return load(HuggingFaceSection(path=given), Path())
    except (OSError, ValueError) as error:
        raise store.UserError(f"{given}: cannot be opened as a tokenizer: {error}") from error
    raise store.UserError(
        f"{given}: is no tokenizer.json and no SentencePiece model. Give one, the folder of a build, bytes, or "
        "tiktoken:o200k_base."
    )
