from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.filters.lists import listings
from tokenladder.filters.lists.blocklists import WordsList
from tokenladder.filters.provenance.domains import Domains

import naive

WORDS = str(Path(__file__).parent / "listed_words.txt")
DOMAINS = str(Path(__file__).parent / "listed_domains.txt")
ENTRIES = ["stand", "worst of times", "naive", "日本"]
HOSTS = ["bad.example", "worse.example"]
PIECES = [
    "stand",
    "Stand",
    "worst",
    "of",
    "times",
    "Worst of Times",
    "naïve",
    "NAI\u0308VE",
    "日本",
    "日",
    "本",
    "don't",
]
GLUE = [" ", "\n", ", ", "-", ".", "", "...", "\u200d"]
TEXT = st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(GLUE)), max_size=25).map(
    lambda some: "".join(piece + glue for piece, glue in some)
)
NAMES = st.lists(
    st.sampled_from(
        [
            "http://",
            "bad.example",
            "WORSE.Example",
            "www.",
            "not",
            "@",
            ":80",
            ".",
            "/",
            "?",
            "#",
            "casino",
            "Bonus",
            "é",
            "x",
        ]
    ),
    max_size=9,
).map("".join)


@pytest.fixture
def listed(tmp_path):
    def write(content, name="list.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


def batch(texts, names=None):
    columns = {"text": pa.array(texts, pa.string()), "name": pa.array(names or [""] * len(texts), pa.string())}
    return pa.record_batch(columns)


@given(st.lists(st.none() | TEXT | st.text(max_size=40), max_size=5), st.integers(0, 2))
def test_listed_words_equal_the_slow_twin(texts, skipped):
    family = WordsList((WORDS,))
    scored = family.score(batch(texts).slice(skipped))
    scored.validate(full=True)
    expected = []
    for text in texts[skipped:]:
        if text is None:
            expected.append(dict.fromkeys(family.columns.names))
            continue
        found, inside, total = naive.listed_words(text, ENTRIES)
        ratios = {"per_thousand": 1000 * found / max(1, total), "share": inside / max(1, total)}
        expected.append({"found": found, **{name: float(np.float32(value)) for name, value in ratios.items()}})
    assert scored.to_pylist() == expected


def test_phrases_are_cut_as_texts_are(listed):
    path = listed("U.S. of A.\none two\none two three four five six seven eight\ntwo\n")
    texts = ["the U.S. of A, twice: u.s. OF a", "one two", "x one two three four five six seven eight", "Two two", ""]
    assert WordsList((path,)).score(batch(texts))["found"].to_pylist() == [2, 1, 1, 2, 0]
    # "one two" ends before the longer phrase does
    assert WordsList((path,)).score(batch(texts))["share"].to_pylist()[2] == pytest.approx(2 / 9)


@given(st.lists(NAMES | st.text(max_size=20), max_size=6), st.integers(0, 2))
def test_listed_addresses_equal_the_slow_twin(names, skipped):
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = Path(folder) / "words.txt"
        path.write_text("casino\nbonus\n")
        family = Domains((DOMAINS,), (str(path),))
        scored = family.score(batch(["x"] * len(names), names).slice(skipped))
    scored.validate(full=True)
    expected = []
    for name in names[skipped:]:
        domain, found = naive.listed_address(name, HOSTS, ["casino", "bonus"])
        reason = "domain" if domain else "path_word" if found else "pass"
        expected.append({"reason": reason, "domain": domain, "path_words": found})
    assert scored.to_pylist() == expected


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("http://bad.example/", "domain"),
        ("https://WWW.Bad.Example:8080/a?b", "domain"),
        ("https://user:pw@www.worse.example", "domain"),
        ("https://bad.example./x", "domain"),
        ("https://notbad.example/", "pass"),
        ("https://bad.example.org/", "pass"),
        ("https://good.example/bad.example", "pass"),
        ("https://good.example/?to=http://bad.example/", "pass"),
        ("https://bad.example@good.example/", "pass"),
        ("https://xn--mnchen-3ya.example/", "domain"),
        ("https://münchen.example/", "domain"),
        ("/home/bad.example", "pass"),
        ("", "pass"),
    ],
)
def test_a_domain_holds_for_all_below_it(listed, name, reason):
    family = Domains((DOMAINS, listed("*.münchen.example\n")))
    assert family.score(batch(["x"], [name]))["reason"].to_pylist() == [reason]


def test_a_folder_in_the_form_of_toulouse_is_read(listed):
    folder = str(Path(listed("# adult\nbad.example\n", "adult/domains")).parent)
    assert Domains((folder,)).score(batch(["x"], ["http://bad.example"]))["domain"].to_pylist() == [True]
    assert listings.entries(folder) == ("bad.example",)


def test_lists_count_by_content_not_by_path(listed):
    one, other = listed("a\nb\n", "one.txt"), listed("a\nb\n", "other.txt")
    more = listed("c\n", "more.txt")
    assert WordsList((one,)).identity() == WordsList((other,)).identity()
    assert WordsList((one, more)).identity() == WordsList((more, other, one)).identity()
    assert WordsList((one,)).identity() != WordsList((more,)).identity()
    assert Domains((one,)).identity() != Domains((), (one,)).identity()


def test_a_list_that_changes_is_read_again(listed):
    path = listed("stand\n")
    family = WordsList((path,))
    before = family.identity()
    assert family.score(batch(["stand sit"]))["found"].to_pylist() == [1]
    listed("stand\nsit\n")
    assert family.score(batch(["stand sit"]))["found"].to_pylist() == [2]
    assert family.identity() != before


def test_comments_empty_lines_and_a_byte_order_mark_are_no_entries(listed):
    path = listed("\ufeff# head\r\n\r\n  one # why\r\ntwo\t# tab\r\nC#\r\n")
    assert listings.entries(path) == ("one", "two", "C#")


@given(st.lists(st.integers(0, 2**64 - 1), max_size=40), st.integers(0, 2**64 - 1))
def test_a_table_holds_what_was_put_in(values, other):
    table = listings.hash_table(np.array(values, np.uint64))
    present = [bool(listings.is_listed(table, np.uint64(value))) for value in [*values, other]]
    assert present == [value != 0 for value in values] + [other in values and other != 0]


@pytest.mark.parametrize(
    ("family", "content", "message"),
    [
        (WordsList, "", r"The list .*list\.txt holds no entry; write one on each line"),
        (WordsList, b"a\nb\xff\n", r"list\.txt, line 2: not UTF-8 \(invalid start byte\); save the list as UTF-8"),
        (WordsList, "a\n!!!\n", r"list\.txt: the entry '!!!' has 0 words; one to 8 are possible"),
        (WordsList, "a b c d e f g h i\n", r"the entry 'a b c d e f g h i' has 9 words; one to 8 are possible"),
        (Domains, "bad example\n", r"the entry 'bad example' is no domain; write one as example\.org on each line"),
        (
            lambda files: Domains((), files),
            "two words\n",
            "the entry 'two words' is no word; paths are cut into letters",
        ),
    ],
)
def test_lists_that_cannot_be_meant_are_refused(listed, family, content, message):
    with pytest.raises(ValueError, match=message):
        family((listed(content),)).score(batch(["x"]))


def test_lists_that_are_not_there_are_named(tmp_path, monkeypatch, listed):
    with pytest.raises(
        FileNotFoundError, match=r"The list .*no\.txt does not exist; give a text file with one entry a li"
    ):
        WordsList((str(tmp_path / "no.txt"),)).identity()
    with pytest.raises(
        FileNotFoundError, match=r"The folder .* holds no file 'domains'; name a file with one entry a line"
    ):
        Domains((str(tmp_path),)).identity()
    monkeypatch.setattr(listings, "LARGEST_FILE", 3)
    with pytest.raises(ValueError, match=r"The list .* has 5 bytes, and at most 3 are read; split it"):
        WordsList((listed("words"),)).identity()


def test_families_without_lists_are_refused():
    with pytest.raises(ValueError, match="words_list: files must name at least one list, and no name may be empty"):
        WordsList(())
    with pytest.raises(
        ValueError, match="domains: files or path_files must name at least one list, and no name may be em"
    ):
        Domains()


def test_a_batch_without_names_is_refused():
    with pytest.raises(ValueError, match="reads the column 'name', but the batch holds these columns: text"):
        Domains((DOMAINS,)).score(pa.record_batch({"text": ["a"]}))
