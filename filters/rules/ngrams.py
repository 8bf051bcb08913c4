"""Repeated n-grams of a document's tokens, as Gopher's repetition rules count them.

Rae et al. 2021, appendix A.1.1 and table A1; the way of counting is that of datatrove's ``GopherRepetitionFilter``:

* *top* n-gram (n = 2, 3, 4): characters of the commonest n-gram, joined by spaces, times how often it occurs; of
  several, the one that occurs first;
* *duplicated* n-grams (n = 5 to 10): characters of all n-grams that occurred before, joined without spaces; after one,
  counting goes on behind it.

Two shortcuts change no figure. An n-gram can only repeat where both (n-1)-grams inside it do (n = 3, 4). And an n-gram
of at least WINDOW bytes can only repeat where its first WINDOW bytes do, so that one pass over these leaves few places
to look at six times.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..kernels import inlined, kernel
from ..text.buffers import load64
from ..text.chunks import address_of, hash_bytes

WINDOW = 12

_K1 = np.uint64(0x9E3779B97F4A7C15)
_K2 = np.uint64(0xD6E8FEB86659FD93)
_HALF = np.uint64(32)
_EIGHT = np.uint64(8)
_REST = (np.uint64(1) << np.uint64(8 * (WINDOW - 8))) - np.uint64(1)


class Grams(NamedTuple):
    """Room for counting.

    Attributes:
        table: int32[a power of two]; a hash table of place + 1, 0 where empty.
        keys: uint64[tokens]; what stands at a place.
        owner: int32[tokens]; the first place with the same key.
        before: int32[tokens]; the owners of n-grams shorter by one.
        count: int32[tokens]; how often the key of a first place occurs.
        fewer: int32[tokens]; the counts of n-grams shorter by one.
        repeated: int32[tokens]; places where an n-gram may repeat.
    """

    table: Any
    keys: Any
    owner: Any
    before: Any
    count: Any
    fewer: Any
    repeated: Any


@kernel
def room_for_grams(capacity: int) -> Any:
    """Room for the n-grams of so many tokens."""
    size = 16
    while size < 2 * capacity:
        size *= 2
    return Grams(
        np.zeros(size, np.int32),
        np.empty(capacity, np.uint64),
        np.empty(capacity, np.int32),
        np.empty(capacity, np.int32),
        np.empty(capacity, np.int32),
        np.empty(capacity, np.int32),
        np.empty(capacity, np.int32),
    )


@kernel
def cleared(table: Any, entries: int) -> Any:
    """The part of the table that is large enough, emptied: a small document stays in the processor's nearest cache."""
    size = 16
    while size < 2 * entries:
        size *= 2
    part = table[:size]
    part[:] = 0
    return part


@inlined
def owner_of(table: Any, keys: Any, place: Any) -> Any:
    """The first place that was entered with the key of this one; itself, if there was none."""
    key = keys[place]
    mask = np.uint64(len(table) - 1)
    slot = (key ^ (key >> _HALF)) & mask
    while table[slot] and keys[table[slot] - 1] != key:
        slot = (slot + np.uint64(1)) & mask
    if not table[slot]:
        table[slot] = place + 1
    return table[slot] - 1


@kernel
def top_ngrams(tokens: int, hashes: Any, characters: Any, room: Any, found: Any) -> None:
    """Write the characters of the top 2-, 3- and 4-grams into ``found[0:3]`` (int64)."""
    keys, owner, before, count, fewer = room.keys, room.owner, room.before, room.count, room.fewer
    for n in range(2, 5):
        places = tokens - n + 1
        if places < 1:
            return
        table = cleared(room.table, places)
        best = 0
        first = 0
        for place in range(places):
            if n == 2:
                key = (hashes[place] * _K1) ^ (hashes[place + 1] >> _HALF) ^ (hashes[place + 1] << _HALF)
                keys[place] = (key ^ (key >> _HALF)) * _K2
            elif fewer[before[place]] > 1 and fewer[before[place + 1]] > 1:
                pair = (np.uint64(before[place]) << _HALF) | np.uint64(before[place + 1])
                keys[place] = (pair ^ (pair >> _HALF)) * _K1  # a bijection: no two pairs meet
            else:
                owner[place] = place
                count[place] = 1
                continue
            each = owner_of(table, keys, place)
            owner[place] = each
            if each == place:
                count[place] = 0
            count[each] += 1
            if count[each] > best or (count[each] == best and each < first):
                best = count[each]
                first = each
        if best < 2:
            best = 1
            first = 0
        found[n - 2] = (characters[first + n] - characters[first] + n - 1) * best
        owner, before = before, owner
        count, fewer = fewer, count


@kernel
def _places(tokens: int, text: Any, starts: Any, room: Any) -> int:
    """Write into ``room.repeated`` where an n-gram of five or more tokens may repeat; how many there are."""
    keys, owner, count, repeated = room.keys, room.owner, room.count, room.repeated
    address = address_of(text)
    text[starts[tokens] : starts[tokens] + WINDOW] = 0
    table = cleared(room.table, tokens)
    for place in range(tokens):
        at = np.uint64(starts[place])
        key = load64(address, at) * _K1
        key = (key ^ (key >> _HALF) ^ (load64(address, at + _EIGHT) & _REST)) * _K2
        keys[place] = key ^ (key >> _HALF)
        each = owner_of(table, keys, place)
        owner[place] = each
        if each == place:
            count[place] = 0
        count[each] += 1
    found = 0
    for place in range(tokens - 4):
        if count[owner[place]] > 1 or starts[place + 5] - starts[place] < WINDOW:
            repeated[found] = place
            found += 1
    return found


@kernel
def duplicated_ngrams(  # noqa: PLR0917 (a kernel takes columns)
    tokens: int, text: Any, starts: Any, characters: Any, room: Any, found: Any
) -> None:
    """Write the characters of duplicated 5- to 10-grams into ``found[0:6]`` (int64)."""
    if tokens < 5:
        return
    address = address_of(text)
    places = _places(tokens, text, starts, room)
    keys, repeated = room.keys, room.repeated
    for n in range(5, 11):
        table = cleared(room.table, places)
        on = 0  # where counting goes on
        for each in range(places):
            place = repeated[each]
            if place < on:
                continue
            if place > tokens - n:
                break
            keys[place] = hash_bytes(address, starts[place], starts[place + n])
            if owner_of(table, keys, place) != place:
                found[n - 5] += characters[place + n] - characters[place]
                on = place + n
