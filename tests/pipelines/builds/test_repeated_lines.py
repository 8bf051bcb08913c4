"""Repeated lines through whole builds: planted boilerplate is scored, ruled on, cut out and accounted for."""
# ruff: noqa: S311 documents drawn at random are no secrets

from __future__ import annotations

import collections
import json
import random

import little
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_store import Store, exchange, identity, payload, write_part

from tokenladder.pipelines.ask.explain import explain
from tokenladder.pipelines.files import schema, store
from tokenladder.pipelines.recount.verify import verify
from tokenladder.pipelines.stages import repeated_lines
from tokenladder.pipelines.stages.edits import Editor
from tokenladder.pipelines.study.file import StudyError, load

import naive

MENU = "Home | About us | Contact | Imprint"
FOOTER = "(c) Example Corporation, all rights reserved"
NOTICE = ["We use cookies to give you the best of pages.", "Say yes, or read our privacy policy."]
FIGURES = ("documents", "lines", "bytes", "cut_documents", "cut_lines", "cut_bytes")


def planted(seed, count, *, prefix="d"):
    """Documents of which all have a menu, most a footer in some spelling, a few a notice; and two of nothing else."""
    rng = random.Random(seed)
    rows = little.corpus(seed, count, prefix=prefix, words=(20, 60))
    for n, row in enumerate(rows):
        lines = row["text"].split("\n")
        if n % 5:
            lines += ["", FOOTER.upper() if n % 2 else FOOTER]
        if n % 20 == 3:
            lines[2:2] = [*NOTICE, ""]
        row["text"] = "\n".join([MENU, *lines, *(["\u2014"] if rng.random() < 0.2 else [])])
    return [*rows, *({"id": f"{prefix}bare{n}", "text": f"{MENU}\n{' ' * n}\n{FOOTER}"} for n in (1, 2))]


def study_of(folder, rows, *, lines, recipe=None, **settings):
    sources = {}
    for name, those in rows.items():
        sources[name] = little.write_jsonl(folder / f"{name}.jsonl", those)
    recipes = {"all": {"dedup": False, **(recipe or {})}}
    return little.write_study(folder, sources, repeated_lines=lines, **{"recipes": recipes, **settings})


def expected(texts, unit="line", least=20, many=8):
    """For each text: the columns that the slow twin gives, and what is left of it."""
    ids = [little.document_id(text) for text in texts]
    known = naive.repeated_lines(zip(ids, texts, strict=True), unit, least, many)
    out = []
    for own, text in zip(ids, texts, strict=True):
        units = naive.units(text, unit)
        found = [known.get(naive.line_hash(says, least)) for says, _ in units]
        cut = [one is not None and one[1] != own for one in found]
        left = "" if all(cut) else naive.without_units(text, unit, cut)
        sizes = [len((says + rest).encode()) for says, rest in units]
        size = sum(size for size, one in zip(sizes, found, strict=True) if one)
        numbers = len(units), sum(one is not None for one in found), size, size / sum(sizes), sum(cut)
        out.append((dict(zip(schema.REPEATED_LINES.names, numbers, strict=False)), all(cut), left))
    return out, known


def columns_of(result):
    """What stands in the store, by document."""
    from pathlib import Path

    root = Path(result.out) / ".store"
    (lines,) = (path.name for path in (root / "repeated_lines").iterdir())
    out = {}
    for path in sorted((root / "parts").rglob("*.parquet")):
        documents = store.read_table(str(path), ["document"]).column(0).to_pylist()
        table = store.read_table(str(root / "scores" / lines / path.relative_to(root / "parts")))
        assert table.schema == schema.REPEATED_LINES
        out |= dict(zip([one and one.hex() for one in documents], table.to_pylist(), strict=True))
    return out


@pytest.fixture(scope="module")
def rows():
    """Five sources, each of which is a part."""
    counts = {"a": 20, "b": 15, "c": 12, "d": 10, "e": 8}
    return {name: planted(n, count, prefix=name) for n, (name, count) in enumerate(counts.items())}


@pytest.fixture(scope="module")
def removed(rows, tmp_path_factory):
    """The study that cuts, and its build without Beam."""
    folder = tmp_path_factory.mktemp("removed")
    study = study_of(folder, rows, lines={"remove": True})
    return study, little.build(study, folder / "out")


def texts_of(rows):
    return [row["text"] for those in rows.values() for row in those]


def by_source(rows, values):
    """Values for all texts, cut by source."""
    values = iter(values)
    return {name: [next(values) for _ in those] for name, those in rows.items()}


@pytest.mark.parametrize(
    "lines", [{}, {"unit": "paragraph", "min_documents": 3}, {"min_documents": 2, "min_characters": 4}]
)
def test_every_document_has_the_columns_of_the_slow_twin(rows, tmp_path, lines):
    result = little.build(study_of(tmp_path, rows, lines=lines), tmp_path / "out")
    texts = texts_of(rows)
    parameters = {"min_documents": "many", "min_characters": "least", "unit": "unit"}
    wanted, _ = expected(texts, **{parameters[key]: value for key, value in lines.items()})
    found = columns_of(result)
    assert len(found) == len(set(texts))
    for text, (columns, emptied, left) in zip(texts, wanted, strict=True):
        row = found[little.document_id(text)]
        assert {name: row[name] for name in columns} == {**columns, "share": float(np.float32(columns["share"]))}
        assert row["emptied"] == emptied
        data, at = text.encode(), [0]
        for start, stop in zip(row["starts"], row["stops"], strict=True):
            at += [start, stop]
        kept = b"".join(data[a:b] for a, b in zip(at[::2], [*at[1::2], len(data)], strict=True))
        assert kept.decode() == left
        assert row["cut_bytes"] == len(data) - len(kept)


def test_without_removal_the_text_is_as_it_was_and_the_manifest_tells_what_is_repeated(rows, tmp_path):
    result = little.build(study_of(tmp_path, rows, lines={}, budgets=[little.LENGTH]), tmp_path / "out")
    first = little.ordered([row["text"] for row in rows["a"]])
    assert little.joined(first, 256)[: len(result.stream("a"))] == result.stream("a").tolist()
    told = result.manifest["repeated_lines"]
    assert {key: told[key] for key in ("min_documents", "min_characters", "unit", "remove")} == {
        "min_documents": 8,
        "min_characters": 20,
        "unit": "line",
        "remove": False,
    }
    for source, wanted in by_source(rows, expected(texts_of(rows))[0]).items():
        figures = [columns for columns, _, _ in wanted]
        assert [told["sources"][source][name] for name in FIGURES] == [
            sum(one["repeated_lines"] > 0 for one in figures),
            sum(one["repeated_lines"] for one in figures),
            sum(one["repeated_bytes"] for one in figures),
            *(0, 0, 0),
        ]


def test_rules_speak_of_it_as_of_a_score(rows, tmp_path):
    keep = [{"score": "repeated_lines", "max": 0.3}, {"score": "repeated_lines.repeated_lines", "max": 1}]
    study = study_of(tmp_path, rows, lines={}, recipe={"keep": keep}, budgets=[little.LENGTH])
    result = little.build(study, tmp_path / "out")
    reasons = {row["document"]: row["reason"] for row in result.ledger() if row["outcome"] == "dropped"}
    wanted = {}
    for text, (columns, _, _) in zip(texts_of(rows), expected(texts_of(rows))[0], strict=True):
        if columns["share"] > 0.3:
            wanted[little.document_id(text)] = "repeated_lines max 0.3"
        elif columns["repeated_lines"] > 1:
            wanted[little.document_id(text)] = "repeated_lines.repeated_lines max 1"
    assert reasons == wanted
    assert set(collections.Counter(wanted.values())) == {str(rule) for rule in load(str(study)).recipe("all").keep}


def test_removed_lines_are_not_in_the_stream_and_the_first_document_keeps_its_own(rows, removed):
    _, result = removed
    wanted, _ = expected(texts_of(rows))
    left = {text: (emptied, kept) for text, (_, emptied, kept) in zip(texts_of(rows), wanted, strict=True)}
    for source, those in rows.items():
        stream = result.stream(source).tolist()
        texts = [left[text][1] for text in little.ordered([row["text"] for row in those]) if not left[text][0]]
        assert stream == little.joined(texts, 256)[: len(stream)]
    every = "\n".join(kept for _, kept in left.values())
    assert every.count(MENU) == 1
    assert every.upper().count(FOOTER.upper()) == 1


def test_the_manifest_tells_what_was_cut(rows, removed):
    told = removed[1].manifest["repeated_lines"]
    wanted, known = expected(texts_of(rows))
    assert told["remove"] is True
    for source, part in by_source(rows, wanted).items():
        texts = [row["text"] for row in rows[source]]
        lost = [len(text.encode()) - len(kept.encode()) for text, (_, _, kept) in zip(texts, part, strict=True)]
        assert [told["sources"][source][name] for name in FIGURES[3:]] == [
            sum(columns["cut_lines"] > 0 for columns, _, _ in part),
            sum(columns["cut_lines"] for columns, _, _ in part),
            sum(lost),
        ]
    most = sorted(known.items(), key=lambda item: (-item[1][0], f"{item[0]:016x}"))[:20]
    assert [(one["hash"], one["documents"]) for one in told["most"]] == [(f"{one:016x}", n) for one, (n, _) in most]
    assert told["most"][0] == {"hash": f"{naive.line_hash(MENU, 20):016x}", "documents": 75, "sample": MENU}


def test_documents_of_nothing_else_are_dropped_by_name(rows, removed):
    _, result = removed
    wanted, _ = expected(texts_of(rows))
    emptied = {little.document_id(text) for text, (_, empty, _) in zip(texts_of(rows), wanted, strict=True) if empty}
    assert len(emptied) == 2  # one of them twice
    ledger = result.ledger()
    assert {row["document"] for row in ledger if row["outcome"] == "dropped"} == emptied
    assert {row["reason"] for row in ledger if row["outcome"] == "dropped"} == {"nothing but repeated lines"}
    for one in explain(str(result.out), emptied.pop()):
        assert one.fates == {"all": "dropped: nothing but repeated lines"}


def test_what_was_cut_is_verified(removed):
    assert [check for check in verify(str(removed[1].out)) if not check.holds] == []


@pytest.mark.parametrize("workers", [1, 3])
def test_any_number_of_workers_gives_the_same_bytes(removed, tmp_path, workers):
    other = little.build(removed[0], tmp_path / "out", beam=[f"--direct_num_workers={workers}"])
    assert little.differing(little.files(other.out), little.files(removed[1].out)) == []


def test_a_build_that_fails_half_way_goes_on_and_ends_in_the_same_bytes(removed, tmp_path, monkeypatch):
    study, made = removed
    marked = []

    def mark(task, **options):
        if len(marked) == 3:
            raise OSError("the disk is full")
        marked.append(task["ordinal"])
        original(task, **options)

    original = repeated_lines.mark_part
    monkeypatch.setattr(repeated_lines, "mark_part", mark)
    with pytest.raises(OSError, match="the disk is full"):
        little.build(study, tmp_path / "out")
    before = marked.copy()
    monkeypatch.setattr(repeated_lines, "mark_part", lambda task, **_: (marked.append(task["ordinal"]), original(task)))
    result = little.build(study, tmp_path / "out")
    assert len(before) == 3 < len(marked)
    assert sorted(marked) == list(range(len(marked)))  # each part once
    assert little.differing(little.files(result.out), little.files(made.out)) == []
    stamps = little.stamps(tmp_path / "out")
    little.build(study, tmp_path / "out")
    assert little.stamps(tmp_path / "out") == stamps


def test_to_remove_or_not_counts_no_line_again(rows, tmp_path):
    study = study_of(tmp_path, rows, lines={"remove": False})
    first = little.build(study, tmp_path / "out")
    kept = "\n".join(first.texts("a"))
    before = little.stamps(tmp_path / "out" / ".store")
    study.write_text(study.read_text().replace('"remove" = false', '"remove" = true'))
    second = little.build(study, tmp_path / "out")
    after = little.stamps(tmp_path / "out" / ".store")
    assert {name: after[name] for name in before} == before
    assert {name.split("/")[0] for name in after.keys() - before.keys()} == {
        "census",
        "choices",
        "counts",
        "ladders",
        "surveys",
        "tokens",
    }
    assert first.manifest["fingerprint"] != second.manifest["fingerprint"]
    assert "\n".join(second.texts("a")).count(MENU) <= 1 < kept.count(MENU)


def test_near_duplicates_count_as_one_document_and_one_of_them_survives_with_its_text(tmp_path):
    rng = random.Random(5)
    page = little.text(rng, 80)
    copies = [{"id": f"copy{n}", "text": little.near(rng, page, 1)} for n in range(12)]
    rows = {"a": little.corpus(6, 30) + copies}
    study = study_of(tmp_path, rows, lines={"remove": True}, recipe={"dedup": True})
    result = little.build(study, tmp_path / "out")
    assert result.manifest["repeated_lines"]["most"] == []
    outcomes = collections.Counter(outcome for name, (outcome, _) in result.bins().items() if name.startswith("copy"))
    assert outcomes["duplicate"] >= 8
    assert result.manifest["repeated_lines"]["sources"]["a"]["cut_lines"] == 0


def test_copies_of_the_first_document_keep_its_lines(tmp_path):
    rows = {"a": [{"id": str(n), "text": f"{MENU}\nand then some words that differ"} for n in range(9)]}
    study = study_of(tmp_path, rows, lines={"remove": True}, budgets=[little.LENGTH])
    result = little.build(study, tmp_path / "out")
    assert result.manifest["repeated_lines"]["most"][0]["documents"] == 9
    assert result.manifest["repeated_lines"]["sources"]["a"]["cut_lines"] == 0
    assert result.texts("a")[0].startswith(MENU)


def test_the_held_out_set_and_the_tokenizers_sample_are_cut_as_well(rows, tmp_path):
    study = study_of(
        tmp_path,
        rows,
        lines={"remove": True},
        recipe={"dedup": True},
        held_out={"tokens": 4 * little.LENGTH},
        tokenizer={"type": "sentencepiece", "train": {"vocabulary": 300, "model": "bpe", "bytes": "1MB"}},
        budgets=[8 * little.LENGTH],
    )
    result = little.build(study, tmp_path / "out")
    sampled = []
    for path in (tmp_path / "out" / ".store" / "samples").rglob("*.parquet"):
        sampled += store.read_table(str(path), ["text"]).column(0).to_pylist()
    left = {kept for _, emptied, kept in expected(texts_of(rows))[0] if not emptied}
    assert len(left) / 3 < len(sampled) < len(left)  # what may be held out was set aside
    assert set(sampled) <= left
    assert "\n".join(sampled).count(MENU) <= 1
    assert [check for check in verify(str(result.out)) if not check.holds] == []


# the stages alone


LINE = st.sampled_from(["a menu of many words", "the terms of use", "no two alike", "x", "", "  ", "\u2028"])
PAGE = st.none() | st.lists(LINE, max_size=5).map("\n".join)


@little.few(30)
@given(st.lists(st.lists(PAGE, min_size=1, max_size=5), min_size=1, max_size=3), st.integers(2, 4), st.integers(1, 3))
def test_stages_equal_the_slow_twin_however_documents_are_dealt(tmp_path_factory, parts, many, ranges):
    folder = str(tmp_path_factory.mktemp("stages"))
    place = Store(folder)
    made = [write_part(place, f"r/s/{n:05d}", texts) for n, texts in enumerate(parts)]
    common = {"clusters": folder + "/none", "unit": "line", "min_characters": 6, "min_documents": many}
    common |= {"ranges": ranges, "folder": folder + "/found", "lines": "lines"}
    tasks = [payload(place, part, n, summary=f"{folder}/{n}.json", **common) for n, part in enumerate(made)]
    pairs = [pair for task in tasks for pair in repeated_lines.emit_lines(task)]
    assert exchange(exchange(pairs, repeated_lines.count_lines, common), repeated_lines.write_known, common) == []
    ids = [[None if text is None else identity(text).hex()[:16] for text in texts] for texts in parts]
    counted = [
        (own, text) for those, texts in zip(ids, parts, strict=True) for own, text in zip(those, texts, strict=True)
    ]
    known = naive.repeated_lines([one for one in counted if one[1] is not None], "line", 6, many)
    for n, (task, texts) in enumerate(zip(tasks, parts, strict=True)):
        repeated_lines.mark_part(task)
        table = place.column(made[n], ("lines", "repeated_lines")).to_pylist()
        cut = place.column(made[n], ("lines", "cut_lines")).to_pylist()
        rows = np.array([row for row, text in enumerate(texts) if text is not None], np.int64)
        kept = Editor(place, made[n], {"cut": "lines"}).edit(pa.array([texts[row] for row in rows], pa.string()), rows)
        left = iter(kept.to_pylist())
        for own, text, repeats, away in zip(ids[n], texts, table, cut, strict=True):
            if text is None:
                assert (repeats, away) == (None, None)
                continue
            found = [known.get(naive.line_hash(says, 6)) for says, _ in naive.units(text, "line")]
            gone = [one is not None and one[1] != own for one in found]
            assert (repeats, away) == (sum(one is not None for one in found), sum(gone))
            whole = next(left)
            assert whole == (
                "" if gone and all(gone) else naive.without_units(text, "line", gone) if any(gone) else text
            )


def test_a_hot_line_is_one_record_of_each_part(tmp_path):
    place = Store(str(tmp_path))
    part = write_part(place, "r/s/00000", [f"{MENU}\nline {n}" for n in range(50)])
    task = payload(place, part, 0, clusters="none", unit="line", min_characters=20, ranges=1)
    ((_, packed),) = repeated_lines.emit_lines(task)
    found = np.frombuffer(packed, repeated_lines.FOUND)
    assert found["documents"].tolist() == [50]
    assert found.itemsize == 24


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"repeated_lines": {"min_documents": 1}},
            "repeated_lines.min_documents: Input should be greater than or equal",
        ),
        ({"repeated_lines": {"units": "line"}}, "repeated_lines.units: no such key, did you mean 'unit'?"),
        ({"repeated_lines": {"unit": "sentence"}}, "repeated_lines.unit: Input should be 'line' or 'paragraph'"),
        (
            {"recipes": {"all": {"keep": [{"score": "repeated_lines", "max": 0.1}]}}},
            "recipes.all.keep[0].score: there is no score 'repeated_lines'. Add the section [repeated_lines]",
        ),
        (
            {"repeated_lines": {}, "recipes": {"all": {"keep": [{"score": "repeated_lines.bytes", "max": 1}]}}},
            "recipes.all.keep[0].score: repeated_lines has no column 'bytes'",
        ),
        (
            {"repeated_lines": {}, "recipes": {"all": {"keep": [{"score": "repeated_lines", "is": "x"}]}}},
            "recipes.all.keep[0].score: repeated_lines has no label of its own",
        ),
        (
            {"scores": {"repeated_lines": {"type": "lengths"}}},
            "scores.repeated_lines: a rule that says 'repeated_lines' means the section [repeated_lines]",
        ),
    ],
)
def test_mistakes_are_told(tmp_path, settings, message):
    study = little.write_study(tmp_path, {"a": "a.jsonl"}, **settings)
    with pytest.raises(StudyError) as caught:
        load(str(study))
    assert [line for line in caught.value.mistakes if line.startswith(message)], caught.value.mistakes


def test_the_plan_shows_the_section(tmp_path, rows):
    from tokenladder.pipelines.drivers.plan import make_plan

    study = study_of(tmp_path, rows, lines={"remove": True})
    described = make_plan(load(str(study)), str(tmp_path / "out")).describe()
    wanted = {"min_documents": 8, "min_characters": 20, "unit": "line", "remove": True}
    assert json.loads(json.dumps(described))["repeated_lines"] == wanted
