"""Train a tokenizer on a recipe's own text or on files, and tell what it and others make of text it has not seen."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...data_cards.tokenizer_card import render_tokenizer_card
from ...tokenizers.loading import FILES, load_bytes
from ...tokenizers.measures import Counts, add, as_json, measure
from ...tokenizers.sections import HuggingFaceSection, SentencePieceSection, TrainHuggingFace
from ...tokenizers.training import train
from ..ask.rungs import open_result, read_documents
from ..files import store
from ..files.folders import need_folder
from .tokenizer_texts import Text, languages, of_files, of_rung, open_tokenizer_at, sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ...tokenizers.protocol import Tokenizer
    from ...tokenizers.training import Train
    from ..ask.rungs import Result

BATCH = 1 << 22
"""Bytes of text that are measured at once."""


def train_tokenizer(
    given: Sequence[str], recipe: str | None, parameters: Train, compare: Sequence[str], folder: str
) -> dict[str, Any]:
    """Train a tokenizer; write its file, `card.json` and `README.md`. The same text gives the same bytes.

    Args:
        given: The folder of a finished build, or files and folders of text.
        recipe: Of a build, whose text; by default the first.
        parameters: What to train.
        compare: Other tokenizers for the card, as `open_tokenizer_at` takes them.
        folder: Where to.

    Returns:
        What `card.json` says.

    Raises:
        UserError: There is no such build, recipe or file, or too little text for the vocabulary.
    """
    need_folder(folder, "--out")
    others = {name: open_tokenizer_at(name) for name in compare}
    texts, origin = given_texts(given, recipe, parameters.sample_bytes)
    seen, unseen = sample(texts, parameters.sample_bytes)
    try:
        data = train((one.text for one in seen), parameters)
    except ValueError as error:
        raise store.UserError(f"{origin}: {error}") from error
    by_hand = isinstance(parameters, TrainHuggingFace)
    section = HuggingFaceSection(path="-") if by_hand else SentencePieceSection(path="-")
    tokenizers = {"this one": load_bytes(section, data), **others}
    measured = unseen or seen
    card = {
        "type": section.type,
        "file": FILES[section.type],
        "parameters": {key: value for key, value in dataclasses.asdict(parameters).items() if key != "recipe"},
        "text": origin,
        "trained_on": {"documents": len(seen), "bytes": sum(len(one.text.encode()) for one in seen)},
        "measured_on": "documents that were not trained on" if unseen else "the documents that were trained on",
        "tokenizers": _measured(tokenizers, measured),
    }
    files = {FILES[section.type]: data, "card.json": _json(card), "README.md": render_tokenizer_card(card).encode()}
    for name, content in files.items():
        store.write_bytes(store.join(store.absolute(folder), name), content)
    return card


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def given_texts(given: Sequence[str], recipe: str | None, size: int) -> tuple[Iterator[Text], str]:
    """Texts, and what they are in words."""
    if len(given) == 1 and store.exists(store.join(store.absolute(given[0]), "manifest.json")):
        result = open_result(given[0])
        rung = result.rung(recipe or next(iter(result.manifest.recipes)))
        return of_rung(result, rung), f"{result.manifest.name}, recipe {rung.recipe}"
    if recipe is not None:
        raise store.UserError(f"--recipe {recipe}: {', '.join(given)} is no folder of a finished build.")
    names = ", ".join(path.rstrip("/").rpartition("/")[2] for path in given)
    # a tenth more, because one document in ten is measured only
    return of_files(given, size + size // 8), names


def _measured(tokenizers: dict[str, Tokenizer], texts: Sequence[Text]) -> dict[str, Any]:
    out = {}
    for name, tokenizer in tokenizers.items():
        found: dict[str, dict[str, Counts]] = {}
        used = 0
        ids = None
        for batch in _batches(texts):
            plain = [one.text for one in batch]
            groups = {"source": [one.source or "?" for one in batch], "language": languages(plain)}
            counts, here = measure(tokenizer, pa.array(plain, pa.string()), groups)
            found, ids = add(found, counts), here if ids is None else ids | here
        used = 0 if ids is None else int(ids.sum())
        out[name] = {
            "vocabulary": tokenizer.vocabulary_size,
            "used": used,
            **{of: {group: as_json(one) for group, one in groups.items()} for of, groups in found.items()},
        }
    return out


def _batches(texts: Iterable[Text]) -> Iterator[list[Text]]:
    batch: list[Text] = []
    held = 0
    for one in texts:
        batch.append(one)
        held += len(one.text.encode())
        if held >= BATCH:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def count_tokens(out: str, rung: str, others: Sequence[str]) -> dict[str, Any]:
    """The tokens of the very same documents under several tokenizers.

    Args:
        out: Folder of a finished build.
        rung: RECIPE-RUNG, RECIPE (its largest rung), a curriculum or `held_out`.
        others: Other tokenizers, as `open_tokenizer_at` takes them.

    Returns:
        `rung`, `tokens` (of the rung), `documents`, and `tokenizers`: by name, `tokens` in all and by stratum
        (`strata`), with an end-of-document token for each document that the rung does not cut, and `bytes_per_token`.

    Raises:
        UserError: There is no such build, rung or tokenizer.
    """
    result = open_result(out)
    one = result.rung(rung)
    opened = {name: open_tokenizer_at(name) for name in others}
    found = {name: _Counted() for name in [result.manifest.name, *opened]}
    own = _own_counts(result, one.name)
    found[result.manifest.name] = own
    for batch in _batches(of_rung(result, one)):
        texts = pa.array([text.text for text in batch], pa.string())
        for name, tokenizer in opened.items():
            offsets, _ = tokenizer.encode(texts)
            for text, start, stop in zip(batch, offsets[:-1], offsets[1:], strict=True):
                found[name].add(text.stratum, int(stop - start) + text.ends, len(text.text.encode()))
        for text in batch:
            own.text_bytes += len(text.text.encode())
    return {
        "rung": one.name,
        "tokens": one.tokens,
        "documents": own.documents,
        "tokenizers": {
            name: {
                "tokens": counted.tokens,
                "bytes_per_token": round(counted.text_bytes / max(counted.tokens, 1), 4),
                "strata": dict(sorted(counted.strata.items())),
            }
            for name, counted in found.items()
        },
    }


class _Counted:
    """Tokens by stratum."""

    def __init__(self) -> None:
        self.strata: dict[str, int] = {}
        self.text_bytes = 0
        self.documents = 0

    @property
    def tokens(self) -> int:
        return sum(self.strata.values())

    def add(self, stratum: str, tokens: int, text_bytes: int) -> None:
        self.strata[stratum] = self.strata.get(stratum, 0) + tokens
        self.text_bytes += text_bytes
        self.documents += 1


def _own_counts(result: Result, rung: str) -> _Counted:
    counted = _Counted()
    for batch in read_documents(result, result.rung(rung)):
        for stratum, start, stop in zip(batch.strata, batch.offsets[:-1], batch.offsets[1:], strict=True):
            counted.add(stratum, int(stop - start), 0)
    return counted
