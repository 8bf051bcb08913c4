from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.filters.private.personal import MASKS, NAMES, Personal
from tokenladder.filters.private.personal_kinds import kinds
from tokenladder.filters.text import masks, spans
from tokenladder.filters.text.buffers import text_buffers

import naive

FOUND = {
    "email": ["ada.l+work@analytical.org", "x@sub.domain.co.uk", "o_o%1@a-b.io"],
    "ipv4": ["81.2.69.142", "203.8.7.11"],
    "ipv6": ["2a02:898:52:ffff::1", "2a00:1450:4001:81b:0:0:0:200e"],
    "iban": ["DE89 3704 0044 0532 0130 00", "GB29NWBK60161331926819", "BE68 5390 0754 7034"],
    "card": ["4539 5787 6362 1486", "4539578763621486", "4539-5787-6362-1486", "3714 496353 98449"],
    "us_ssn": ["536-90-4399"],
    "spanish_dni": ["12345678Z", "X1234567L", "12345678-Z"],
    "french_nir": ["2 55 08 14 168 025 38", "255081416802538"],
    "german_tax_id": ["Steuer-ID: 86 095 742 719", "IdNr. 86095742719"],
    "italian_codice_fiscale": ["RSSMRA85T10A562S"],
    "dutch_bsn": ["BSN 111222333", "burgerservicenummer: 1112.22.333"],
    "polish_pesel": ["PESEL: 44051401359"],
    "brazilian_cpf": ["529.982.247-25", "CPF 52998224725"],
    "chinese_resident_id": ["11010519491231002X"],
    "phone": [
        "+49 30 12345678",
        "+44 (0)20 7123 4567",
        "+33\u00a01\u202f42 68 53 00",
        "+14158675309",
        "(415) 867-5309",
        "415-867-5309",
        "01 42 68 53 00",
        "020 7123 4567",
        "(11) 98765-4321",
        "03-1234-5678",
        "138 1234 5678",
        "0412 345 678",
        "Telefon: 030/1234567",
        "tel. 91 123 45 67",
        "☎ 030 1234567",
    ],
}
LEFT_ALONE = [
    "ada@example.com, ada@mail.example.org, ada@host.test and ada@localhost",
    "logo@2x.png, getty@tty1.service, git@github.com:o/r.git, user@host, https://u:pass@analytical.org/",
    "192.0.2.1 198.51.100.7 203.0.113.9 127.0.0.1 10.1.2.3 192.168.1.1 8.8.8.8 81.2.69.0 81.2.69.255 999.2.69.142",
    "version 81.2.69.142, v81.2.69.142, 1.81.2.69.142, 81.2.69.142.7, V8 was updated to 4.2.77.18",
    "2001:db8::17 fd00::12:1 fe80::1:2:3 2a02:898:52:ffff:: std::vector::iterator 12:34:56:78",
    "DE89 3704 0044 0532 0130 01, GB29NWBK6016133192681, ZZ29NWBK60161331926819",
    "4539 5787 6362 1487, 4111 1111 1111 1111, 9539578763621481, 0x4539578763621486, 14539578763621486",
    "000-90-4399 666-90-4399 936-90-4399 536-00-4399 536-90-0000 1-536-90-4399 536-90-4399-2",
    "12345678A 12345678 ABC12345678Z",
    "255081416802539 86095742719 111222333 44051401359 52998224725 529.982.247-26 110105194912310021",
    "RSSMRA85T10A562T",
    "(212) 555-0142, +1 212 555 0199, 020 7946 0123, 2016-06-02, tel 2016-06-02, <01 02 03 04 05>",
    "+999 123 4567, +1 23, +49, 1 415-867-5309-2, 12 01 42 68 53 00 99, mobile : 12",
]
PIECES = [piece for some in FOUND.values() for piece in some] + [part for line in LEFT_ALONE for part in line.split()]
GLUE = st.sampled_from(
    ["", " ", "\n", ", ", ".", "-", "/", ":", "x", "7", "é", "日", "\u00a0", "\u200b", "@", "+", "("]
)
MADE = st.lists(st.tuples(st.sampled_from(PIECES), GLUE), max_size=6).map(lambda some: "".join(a + b for a, b in some))
NUMBERS = st.text(st.sampled_from("0123456789 -.:@+()ABXZaf\u00a0\n"), max_size=80)
TEXT = MADE | NUMBERS | st.text(max_size=60)


def batch(texts):
    return pa.record_batch({"text": pa.array(texts, pa.string())})


def found(text, family=None):
    row = (family or Personal()).score(batch([text])).to_pylist()[0]
    return {name: row[name] for name in NAMES if row[name]}


@given(st.lists(st.none() | TEXT, max_size=5), st.integers(0, 2), st.booleans())
def test_finds_and_masks_equal_those_of_patterns_over_the_whole_text(texts, skipped, private):
    family = Personal(private_addresses=private, masks=NAMES)
    wanted = kinds(private=private)
    sliced = batch(texts).slice(skipped)
    scored = family.score(sliced)
    scored.validate(full=True)
    assert scored.schema == family.columns
    masked, tally = family.mask(sliced.column("text"))
    masked.validate(full=True)
    for row, text, mask, count in zip(scored.to_pylist(), texts[skipped:], masked.to_pylist(), tally, strict=True):
        if text is None:
            assert (row, mask) == (dict.fromkeys(family.columns.names), None)
            assert count.sum() == 0
            continue
        names = [name for _, _, name in naive.finds(text, wanted)]
        expected = {name: names.count(name) for name in NAMES}
        reason = next((name for name in NAMES if name in names), "pass")
        edits = [row.pop(name) for name in MASKS.names]
        assert row == {"reason": reason, "total": len(names), **expected}
        assert mask == naive.with_masks(text, wanted)
        spans = [(start, -stop, name) for start, stop, _, name in naive.candidates(text, wanted)]
        merged = naive.merged(spans)
        assert list(zip(*edits, strict=True)) == [(start, stop, NAMES.index(name)) for start, stop, name in merged]
        assert count.tolist() == [[name for _, _, name in merged].count(name) for name in NAMES]


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, some in FOUND.items() for text in some])
def test_what_is_found(kind, text):
    assert found(f"It is {text}, they say.") == {kind: 1}
    assert found(text) == {kind: 1}


@pytest.mark.parametrize("line", LEFT_ALONE)
def test_what_is_left_alone(line):
    assert found(line) == {}


def test_addresses_of_private_networks_count_if_a_study_says_so():
    text = "10.1.2.3 and fd00::12:1 and 192.0.2.1"
    assert found(text, Personal(private_addresses=True)) == {"ipv4": 1, "ipv6": 1}


def test_kinds_are_chosen_and_their_order_changes_nothing():
    family = Personal(kinds=("phone", "email"))
    text = "ada@analytical.org, 81.2.69.142, (415) 867-5309"
    assert family.score(batch([text])).to_pylist() == [{"reason": "email", "total": 2, "email": 1, "phone": 1}]
    assert family.identity() == Personal(kinds=("email", "phone", "email")).identity()
    assert family.identity()["kinds"] == ["email", "phone"]


def test_masks_keep_the_class_of_length_and_are_counted():
    column = pa.array(
        ["a@b.io or ada.lovelace@analytical.org", None, "none", f"{'a' * 60}@analytical.org; 81.2.69.142"]
    )
    masked, tally = Personal(masks=("phone", "email")).mask(column)
    assert masked.to_pylist() == [
        "[email_________] or [email_________________________]",
        None,
        "none",
        f"[email{'_' * 57}]; 81.2.69.142",
    ]
    assert tally.tolist() == [[2, 0], [0, 0], [0, 0], [1, 0]]
    assert Personal().mask(column).column is column


def test_finds_that_overlap_are_masked_whole():
    """The mailbox ends where the number of a card begins."""
    text = "pay 4539578763621486@analytical.org"
    assert found(text) == {"email": 1}
    only = Personal(masks=("card",)).mask(pa.array([text]))
    assert only.column.to_pylist() == [text]
    both = Personal(masks=("all",)).mask(pa.array([text, "+49 30 12345678"]))
    assert both.column.to_pylist() == ["pay [email_________________________]", "[phone_________]"]
    assert Personal(masks=("all",)).identity() == Personal(masks=NAMES).identity()


def test_a_mask_is_never_shorter_than_its_name():
    assert masks.mask_for("italian_codice_fiscale", 16) == b"[italian_codice_fiscale________]"


def test_a_column_that_masks_would_make_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(masks, "_MOST", 20)
    with pytest.raises(
        ValueError, match=r"With its masks the column would hold 32 bytes, .* hold 20; mask smaller batch"
    ):
        Personal(masks=("email",)).mask(pa.array(["ada@analytical.org"]))


def test_a_text_that_is_not_utf8_is_read_as_bytes():
    raw = pa.array([b"\xff\xfeada@analytical.org\xc3", b"\xe2\x80"], pa.binary())
    broken = pa.Array.from_buffers(pa.string(), 2, raw.buffers())
    assert Personal().score(pa.record_batch({"text": broken}))["email"].to_pylist() == [1, 0]


def test_nothing_is_found_across_documents():
    assert found("ada@") == found("analytical.org") == {}
    scored = Personal().score(batch(["ada@", "analytical.org", "4539 5787 ", "6362 1486"]))
    assert scored["total"].to_pylist() == [0, 0, 0, 0]


@given(st.binary(max_size=80), st.sets(st.integers(0, 255), min_size=1), st.integers(1, 9), st.integers(0, 4))
def test_runs_are_the_longest_of_their_bytes(raw, members, shortest, least):
    member = bytes(sorted(members))
    counted = member[::2]
    column = pa.array([raw], pa.binary())
    expected = []
    start = None
    for at in range(len(raw) + 1):
        inside = at < len(raw) and raw[at] in member
        if inside and start is None:
            start = at
        elif not inside and start is not None:
            if at - start >= shortest and sum(byte in counted for byte in raw[start:at]) >= least:
                expected.append((start, at))
            start = None
    finder = spans.Finder(member, shortest, b"", counted, least)
    runs = spans.runs(text_buffers(column), finder)
    assert list(zip(runs.starts.tolist(), runs.stops.tolist(), strict=True)) == expected
    assert np.all(runs.rows == 0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kinds": ()}, "personal: kinds is empty; name some of email, ipv4, .*, or leave it out for all"),
        ({"kinds": ("mail",)}, "personal: kinds has 'mail', which is none of email, ipv4"),
        ({"masks": ("mail",)}, "personal: masks has 'mail', which is none of all, email, ipv4"),
        ({"kinds": ("email",), "masks": ("card",)}, "personal: masks has 'card', but kinds has not; add it there too"),
    ],
)
def test_impossible_parameters_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Personal(**fields)
