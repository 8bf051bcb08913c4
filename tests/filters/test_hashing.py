from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.filters import hashing

import naive

SEEDS = st.integers(0, 2**64 - 1)

# The published test vectors of xxHash64 over its own pseudo-random buffer (the project's sanity check).
PRIME32, PRIME64 = 2654435761, 11400714785074694797


def sanity_buffer(length):
    value, data = PRIME32, bytearray()
    for _ in range(length):
        data.append(value >> 56)
        value = value * PRIME64 % 2**64
    return bytes(data)


@pytest.mark.parametrize(
    ("length", "seed", "expected"),
    [
        (0, 0, 0xEF46DB3751D8E999),
        (0, PRIME32, 0xAC75FDA2929B17EF),
        (1, 0, 0xE934A84ADB052768),
        (1, PRIME32, 0x5014607643A9B4C3),
        (4, 0, 0x9136A0DCA57457EE),
        (14, 0, 0x8282DCC4994E35C8),
        (14, PRIME32, 0xC3BD6BF63DEB6DF0),
        (222, 0, 0xB641AE8CB691C174),
        (222, PRIME32, 0x20CB8AB7AE10C14A),
    ],
)
def test_xxh64_gives_the_published_vectors(length, seed, expected):
    data = sanity_buffer(length)
    assert naive.xxh64(data, seed) == hashing.hash_bytes(data, seed) == expected
    assert hashing.hash_text(pa.array([data], pa.binary()), seed).tolist() == [expected]


@given(st.lists(st.none() | st.binary(max_size=100)), SEEDS, st.integers(0, 3))
def test_hash_text_equals_the_slow_twin(values, seed, skipped):
    column = pa.array(values, pa.binary())
    expected = [0 if value is None else naive.xxh64(value, seed) for value in values]
    assert hashing.hash_text(column, seed).tolist() == expected
    assert hashing.hash_text(column.slice(skipped), seed).tolist() == expected[skipped:]


@given(st.binary(max_size=100), SEEDS)
def test_one_value_hashes_as_the_slow_twin_says(data, seed):
    assert hashing.hash_bytes(data, seed) == naive.xxh64(data, seed)


@given(SEEDS, st.lists(st.tuples(SEEDS, SEEDS)))
def test_mix64_equals_the_slow_twin(seed, pairs):
    halves = np.array(pairs, np.uint64).reshape(-1, 2)
    mixed = hashing.mix64(seed, halves[:, 0], halves[:, 1])
    assert mixed.tolist() == [naive.mix64(seed, high, low) for high, low in pairs]


@given(SEEDS, st.lists(st.binary(min_size=16, max_size=16)), st.integers(0, 3))
def test_priorities_mix_both_halves_of_the_id(seed, ids, skipped):
    column = pa.array(ids, pa.binary(16)).slice(skipped)
    expected = [
        naive.mix64(seed, int.from_bytes(each[:8], "little"), int.from_bytes(each[8:], "little"))
        for each in ids[skipped:]
    ]
    priorities = hashing.priorities(column, seed)
    assert priorities.dtype == np.uint64
    assert priorities.tolist() == expected


@pytest.mark.parametrize("seed", [0, 1, 17, 2**64 - 1])
@pytest.mark.parametrize("half", [0, 1])
def test_priorities_of_counted_ids_are_even_in_high_and_low_bits(seed, half):
    # The worst input: 65,536 ids that differ in a counter alone. 256 cells: chi-square has mean 255, deviation 22.6.
    ids = np.zeros((65_536, 2), "<u8")
    ids[:, half] = np.arange(65_536)
    priorities = hashing.priorities(pa.array([row.tobytes() for row in ids], pa.binary(16)), seed)
    assert len(np.unique(priorities)) == 65_536
    for shift in (56, 48, 28, 8, 0):
        cells = np.bincount((priorities >> np.uint64(shift)).astype(np.int64) & 0xFF, minlength=256)
        chi_square = float(((cells - 256.0) ** 2 / 256.0).sum())
        assert 255 - 5 * 22.6 < chi_square < 255 + 5 * 22.6


def test_every_bit_of_the_seed_changes_half_of_the_bits():
    ids = pa.array([index.to_bytes(16, "little") for index in range(512)], pa.binary(16))
    first = hashing.priorities(ids, 17)
    for bit in range(0, 64, 7):
        changed = first ^ hashing.priorities(ids, 17 ^ (1 << bit))
        ones = np.unpackbits(changed.view(np.uint8)).mean()
        assert 0.48 < ones < 0.52


def test_no_ids_give_no_priorities():
    assert hashing.priorities(pa.array([], pa.binary(16)), 1).tolist() == []


def test_a_null_id_is_refused():
    with pytest.raises(ValueError, match=r"1 of 2 ids are null; leave out the records that gave no document"):
        hashing.priorities(pa.array([bytes(16), None], pa.binary(16)), 1)


@pytest.mark.parametrize("kind", [pa.binary(), pa.binary(8), pa.string()])
def test_ids_of_another_type_are_refused(kind):
    with pytest.raises(ValueError, match=r"made from ids of type fixed_size_binary\[16\]; these are"):
        hashing.priorities(pa.array([], kind), 1)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(ValueError, match=rf"A seed is an integer from 0 to 2\^64 - 1; {seed} was given"):
        hashing.hash_text(pa.array(["a"]), seed)
