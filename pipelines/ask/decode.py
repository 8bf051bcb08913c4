"""Decode: sequences of a recipe as text for people, with every border between documents and the name of each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..files import store
from ..stages import keys
from .rungs import Names, open_result, read_pieces, read_sequences

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 1000
"""Sequences that are shown at once; of 2,048 tokens, that is some 8 MB of text."""

_RANGE = re.compile(r"([0-9_]+)(?:(:)([0-9_]*))?")


@dataclass(frozen=True)
class Piece:
    """What stands of one document in a sequence.

    Attributes:
        document: Hex of its id.
        source: Its source.
        name: Its URL, path or own id.
        position: Where in the sequence it begins.
        offset: Which of the document's tokens that is.
        length: Tokens.
        ends: Whether the end-of-document token is its last.
        text: The text; what a border cut through shows as U+FFFD.
    """

    document: str
    source: str
    name: str
    position: int
    offset: int
    length: int
    ends: bool
    text: str


@dataclass(frozen=True)
class Sequence:
    """A sequence of the stream.

    Attributes:
        number: Its place in the stream.
        stratum: Its stratum.
        pieces: What stands in it, in order.
    """

    number: int
    stratum: str
    pieces: tuple[Piece, ...]


def parse_range(given: str, sequences: int) -> range:
    """Sequences as a person names them: `7` is one, `7:10` three, `7:` all from there on.

    Args:
        given: What was given.
        sequences: How many there are.

    Raises:
        UserError: It is no range, or names none of the sequences, or too many.

    >>> parse_range("7:10", 20)
    range(7, 10)
    """
    match = _RANGE.fullmatch(given.strip())
    if match is None:
        raise store.UserError(f"{given!r}: is no range of sequences. Write 7 for one, 7:10 for three, 7: for the rest.")
    start = int(match[1])
    stop = (int(match[3]) if match[3] else sequences) if match[2] else start + 1
    found = range(start, min(stop, sequences))
    if not found:
        raise store.UserError(f"{given!r}: names no sequence. They are numbered from 0 to {sequences - 1:,}.")
    if len(found) > MOST:
        raise store.UserError(f"{given!r}: names {len(found):,} sequences; {MOST:,} are shown at once, at most.")
    return found


def decode(out: str, name: str, wanted: str = "0") -> Iterator[Sequence]:
    """Sequences of a stream as text.

    Args:
        out: Folder of a finished build.
        name: A recipe, a rung (RECIPE-RUNG), a curriculum, or `held_out`.
        wanted: Which sequences, as `parse_range` takes them.

    Raises:
        UserError: There is no such build, recipe or sequence.
        OSError: A file of the build is missing or damaged.
    """
    result = open_result(out)
    rung = result.rung(name)
    chosen = parse_range(wanted, rung.sequences)
    tokenizer, names = result.tokenizer(), Names(result, rung)
    end, first = tokenizer.end_of_document, 0
    for shard in rung.shards:
        here = range(max(chosen.start, first), min(chosen.stop, first + shard.sequences))
        if here:
            matrix, strata = read_sequences(result, shard)
            table = read_pieces(result, shard)
            wanted_here = np.arange(here.start, here.stop + 1)
            borders = np.searchsorted(table.column("sequence").to_numpy(), wanted_here).tolist()
            for n, number in enumerate(here):
                rows = table.slice(borders[n], borders[n + 1] - borders[n])
                ids = keys.id_array(rows.column("document"))
                told = zip(rows.to_pylist(), ids, names.of(ids), strict=True)
                pieces = []
                for row, one, (source, called) in told:
                    tokens = matrix[number - first, row["position"] : row["position"] + row["length"]]
                    pieces.append(
                        Piece(
                            document=keys.hexadecimal(one),
                            source=source,
                            name=called,
                            position=row["position"],
                            offset=row["offset"],
                            length=row["length"],
                            ends=bool(tokens[-1] == end),
                            text=tokenizer.decode(tokens),
                        )
                    )
                yield Sequence(number, strata[number - first].as_py(), tuple(pieces))
        first += shard.sequences
