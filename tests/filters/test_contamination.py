from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.filters.lists import evaluation_sets, ngram_index
from tokenladder.filters.lists.contamination import Contamination
from tokenladder.filters.lists.evaluation_sets import EvaluationSet

import naive

QUESTION = "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May."
PIECES = ["one", "Two", "três", "東"]
GLUE = [" ", "\n", ", "]
TEXT = st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(GLUE)), min_size=3, max_size=12).map(
    lambda some: "".join(piece + glue for piece, glue in some)
)
ITEMS = st.lists(
    st.tuples(st.lists(TEXT, min_size=1, max_size=2), st.sampled_from(["", "one", "Two três", "東, one two"])),
    min_size=1,
    max_size=6,
)
SETTINGS = st.fixed_dictionaries(
    {
        "ngram": st.integers(2, 4),
        "shortest": st.integers(1, 6),
        "min_overlap": st.sampled_from([0.3, 0.5, 1.0]),
        "enough": st.sampled_from([2, 50]),
    }
)


def batch(texts):
    return pa.record_batch({"text": pa.array(texts, pa.string())})


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def contamination(tmp_path, *records, **settings):
    path = write(tmp_path / "set.jsonl", records)
    return Contamination({"math": {"path": path, "text": ["question"], "answer": "answer"}}, **settings)


@given(ITEMS, st.lists(TEXT | st.none() | st.text(max_size=30), min_size=3, max_size=6), SETTINGS, st.integers(0, 2))
def test_what_is_found_equals_the_slow_twin(items, texts, settings, skipped):
    passages = [passage for passages, _ in items for passage in passages]
    owners = [number for number, (passages, _) in enumerate(items) for _ in passages]
    answers = [answer for _, answer in items]
    sets = [0] * len(items)
    index = ngram_index.build_index(passages, owners, answers, sets, **settings)
    found = ngram_index.find(index, pa.array(texts, pa.string()).slice(skipped))
    for row, text in enumerate(texts[skipped:]):
        best, longest, grams, hits = naive.contaminated(text or "", items, **settings)
        mine = found.rows == row
        assert found.overlap[row] == pytest.approx(best)
        assert (found.longest[row], found.ngrams[row]) == (longest, grams)
        assert list(zip(found.items[mine].tolist(), found.answered[mine].tolist(), strict=True)) == hits
        assert (found.best[row] in found.items[mine]) == bool(hits)


@given(st.lists(st.none() | TEXT | st.text(max_size=30), max_size=4), st.integers(0, 2))
def test_words_are_those_of_minhash(texts, skipped):
    offsets, hashes = ngram_index.hash_words(pa.array(texts, pa.string()).slice(skipped))
    told = [naive.folded_words(text or "") for text in texts[skipped:]]
    assert np.diff(offsets).tolist() == [len(each) for each in told]
    meaning: dict[str, int] = {}
    for word, value in zip([word for each in told for word in each], hashes.tolist(), strict=True):
        assert meaning.setdefault(word, value) == value
    assert len(set(meaning.values())) == len(meaning)


REWRITTEN = {
    "as it is": QUESTION,
    "a word a line": "\n\t".join(QUESTION.split()),
    "upper case": QUESTION.upper(),
    "other signs": QUESTION.replace(",", " –").replace(".", "!?").replace(" ", "\u00a0"),
    "quoted": "> " + QUESTION.replace(" and", "\n> and"),
    "one word replaced": QUESTION.replace("April", "June"),
    "inside more": f"We begin. {QUESTION} We end.",
    "accents": QUESTION.replace("a", "á"),
}


@pytest.mark.parametrize("way", REWRITTEN)
def test_an_item_is_found_however_it_is_written(tmp_path, way):
    family = contamination(tmp_path, {"question": QUESTION, "answer": "72"})
    (row,) = family.score(batch([REWRITTEN[way]])).to_pylist()
    assert (row["set"], row["items"], row["answered"]) == ("math", [0], 0)


def test_answers_near_what_is_found_are_told(tmp_path):
    records = [
        {"question": QUESTION, "answer": "72 clips"},
        {"question": QUESTION + " How many?", "answer": ["no", "yes"]},
    ]
    family = contamination(tmp_path, *records)
    far = f"{QUESTION} {'so ' * 64} 72 clips"
    near = f"{QUESTION} {'so ' * 61} It is 72, Clips."
    rows = family.score(batch([far, near, "Clips, 72 clips. " + QUESTION, QUESTION + " no"])).to_pylist()
    assert [row["answered_items"] for row in rows] == [[], [], [0], [1]]
    assert [row["answered"] for row in rows] == [0, 0, 1, 1]
    rows = family.score(batch([f"{QUESTION} {'so ' * 62} 72 clips"])).to_pylist()
    assert rows[0]["answered_items"] == [0]


def test_short_passages_and_small_finds_count_for_nothing(tmp_path):
    records = [
        {"question": "one two three four five six seven", "answer": ""},
        {"question": "a b c d e f g h", "answer": ""},
    ]
    family = contamination(tmp_path, *records)
    texts = ["one two three four five six seven", "a b c d e f g", "a b c d e f g h"]
    rows = family.score(batch(texts)).to_pylist()
    assert [row["items"] for row in rows] == [[], [], [1]]
    assert [row["overlap"] for row in rows] == [0, 0.75, 1]
    assert family.set_sizes() == {"math": {"items": 2, "too_short": 1}}
    lower = contamination(tmp_path, *records, shortest=4)
    assert [row["items"] for row in lower.score(batch(["four", *texts])).to_pylist()] == [[], [0], [1], [1]]


def test_a_long_run_of_a_longer_item_is_enough(tmp_path):
    words = [f"w{number}" for number in range(400)]
    family = contamination(tmp_path, {"question": " ".join(words), "answer": ""})
    rows = family.score(batch([" ".join(words[:53]), " ".join(words[:54])])).to_pylist()
    assert [row["items"] for row in rows] == [[], [0]]
    assert [row["longest"] for row in rows] == [53, 54]
    assert rows[1]["overlap"] == pytest.approx(50 / 396)


def test_a_phrase_of_many_items_speaks_for_the_first_of_each_set(tmp_path):
    phrase = "which of the following answers is the right one"
    many = [{"question": f"{phrase} {' '.join(f'x{n}y{k}' for k in range(8))}"} for n in range(40)]
    sets = {name: {"path": write(tmp_path / f"{name}.jsonl", many)} for name in ("a", "b")}
    index = Contamination(sets)._loaded().ngrams
    counts = np.diff(index.offsets)
    assert (counts.max(), len(index.items)) == (32, 5 * 32 + 8 * 80)
    assert index.totals.tolist() == [13] * 16 + [8] * 24 + [13] * 16 + [8] * 24
    rows = Contamination(sets, min_overlap=0.2).score(batch([phrase, many[39]["question"]])).to_pylist()
    assert rows[0]["items"] == [*range(16), *range(40, 56)]
    assert rows[1]["items"][-1] == 79
    assert rows[1]["set"] == "a"


def test_many_finds_in_one_document(tmp_path):
    items = [f"item {n} " + " ".join(f"w{n}x{k}" for k in range(9)) for n in range(700)]
    family = Contamination({"a": {"path": write(tmp_path / "a.jsonl", [{"q": item} for item in items])}})
    rows = family.score(batch([" ".join(items), items[3], None])).to_pylist()
    assert [row["items"] for row in rows] == [list(range(700)), [3], None]


def test_sets_are_read_alike_from_every_kind_of_file(tmp_path):
    records = [{"question": QUESTION, "choices": ["a", "b"], "n": 1}, {"question": "x", "choices": [], "n": 2}]
    plain = write(tmp_path / "a.jsonl", records)
    raw = Path(plain).read_bytes()
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(raw))
    (tmp_path / "a.jsonl.zst").write_bytes(zstandard.compress(raw))
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "a.parquet")
    told = [
        evaluation_sets.read(EvaluationSet(str(tmp_path / f"a{kind}")))
        for kind in (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")
    ]
    assert told[0] == ((QUESTION, "a", "b", "x"), (0, 0, 0, 1), ("", ""))
    assert told[1:] == told[:1] * 3
    answered = evaluation_sets.read(EvaluationSet(plain, ("question",), "n"))
    assert answered == ((QUESTION, "x"), (0, 1), ("1", "2"))
    (tmp_path / "b.txt").write_text("\ufeffone\ntwo\n\n \nthree\n")
    assert evaluation_sets.read(EvaluationSet(str(tmp_path / "b.txt"))) == (("one\ntwo", "three"), (0, 1), ("", ""))
    both = evaluation_sets.read(EvaluationSet((str(tmp_path / "b*"), plain)))
    assert both.items == (0, 1, 2, 2, 2, 3)


def test_identity_depends_on_content_not_on_paths(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one, two = (contamination(tmp_path / name, {"question": QUESTION, "answer": "1"}) for name in ("one", "two"))
    assert one.identity() == two.identity()
    other = contamination(tmp_path / "two", {"question": QUESTION, "answer": "2"})
    assert one.identity() != other.identity()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"x", r"a\.csv is of no known kind; give JSON lines"),
        ("a.jsonl", b'{"question": 1}\n[2]\n', r"a\.jsonl, line 2: not a JSON object; write one object on each line"),
        ("a.jsonl", b'{"q": \n', r"a\.jsonl, line 1: not a JSON object \(.*\); write one"),
        ("a.jsonl", b"\n", r"a\.jsonl holds no record"),
        ("a.jsonl", b'{"q": "x"}\n', r"a\.jsonl: a record has no field 'question'; it has these: q"),
        ("a.txt", b"\xff\xfe", r"a\.txt: not UTF-8 \(invalid start byte\); save the evaluation set as UTF-8"),
        ("a.parquet", b"PAR1", r"a\.parquet cannot be read as Parquet"),
        ("a.jsonl.gz", b"x", r"a\.jsonl\.gz cannot be unpacked"),
        ("a.jsonl.zst", b"x", r"a\.jsonl\.zst cannot be unpacked"),
    ],
)
def test_bad_files_are_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        Contamination({"a": {"path": str(tmp_path / name), "text": ["question"]}}).score(batch(["x"]))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"The evaluation set .*none\*\.jsonl does not exist; give JSON lines"):
        Contamination({"a": {"path": str(tmp_path / "none*.jsonl")}}).identity()


def test_large_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation_sets, "LARGEST_FILE", 10)
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"q": "' + b"x" * 100 + b'"}', 9))
    with pytest.raises(ValueError, match="has over 10 bytes; split it into several files"):
        Contamination({"a": {"path": str(path)}}).identity()
    monkeypatch.setattr(evaluation_sets, "LARGEST_FILE", 60)
    with pytest.raises(ValueError, match="has over 60 bytes; split it into several files"):
        Contamination({"a": {"path": str(path)}}).score(batch(["x"]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sets": {}}, "sets must name at least one evaluation set"),
        ({"sets": {"none": {"path": "x"}}}, "none may be called 'none'"),
        ({"ngram": 1}, "ngram must be from 2 to 64; it is 1"),
        ({"shortest": 0}, "shortest must be from 1 to 1000; it is 0"),
        ({"enough": 0}, "enough must be from 1 to 1000000; it is 0"),
        ({"min_overlap": 0}, "min_overlap must be above 0 and at most 1; it is 0"),
    ],
)
def test_impossible_parameters_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Contamination(**{"sets": {"a": {"path": "x"}}, **settings})
