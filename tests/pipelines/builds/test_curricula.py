"""Curricula: a rung's documents in another order, from the kernel to what `datasets` loads."""

from __future__ import annotations

import collections
import hashlib
import itertools
import json
import math
import re

import little
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.pipelines.ask.decode import decode
from tokenladder.pipelines.ask.rungs import open_result
from tokenladder.pipelines.commands.cli import cli
from tokenladder.pipelines.drivers.curricula import _exact_sum, spearman
from tokenladder.pipelines.export.export import export
from tokenladder.pipelines.files import store
from tokenladder.pipelines.recount.verify import verify
from tokenladder.pipelines.stages.curriculum import _value, place_items, releases, seat_seed
from tokenladder.pipelines.study.file import StudyError, parse

import naive

LENGTH = little.LENGTH

PACES = st.fixed_dictionaries(
    {
        "pace": st.sampled_from(["linear", "root", "step", "exponential"]),
        "start": st.sampled_from([0.05, 0.1, 0.3, 1.0]),
        "full_at": st.sampled_from([0.2, 0.5, 1.0]),
        "steps": st.integers(1, 6),
    }
)
SETTINGS = st.one_of(
    PACES,
    st.fixed_dictionaries({"buckets": st.integers(2, 6) | st.sampled_from([[0.9, 0.1], [0.5, 0.2, 0.3]])}),
    st.fixed_dictionaries({"sweeps": st.integers(2, 5)}),
    st.just({}),
)


# the order


@given(SETTINGS, st.lists(st.tuples(st.integers(1, 50), st.integers(0, 9)), min_size=1, max_size=40))
def test_the_order_equals_the_plain_rule(settings, items):
    tokens = np.array([length for length, _ in items])
    seats = np.array([seat for _, seat in items], np.uint64)
    before = np.cumsum(tokens) - tokens
    released = releases(before, int(tokens.sum()), settings) if "pace" in settings else before
    order, early = place_items(tokens, seats, settings)
    expected = naive.place_items(tokens.tolist(), seats.tolist(), released.tolist(), settings)
    assert (order.tolist(), early) == expected


@given(PACES, st.integers(1, 10**6))
def test_a_document_may_be_drawn_once_the_pace_reaches_it(settings, total):
    before = np.unique(np.linspace(0, total - 1, 50).astype(np.int64))
    released = releases(before, total, settings)
    assert (np.diff(released) >= 0).all()
    assert 0 <= released[0] <= released[-1] <= total
    for place, when in zip(before.tolist(), released.tolist(), strict=True):
        # to one part in a million: the rule is about shares, documents are let in at whole tokens
        assert naive.pace_share(settings, (when + 1) / total + 1e-9) >= place / total - 1e-6
        if when > 1:
            assert naive.pace_share(settings, (when - 1) / total - 1e-9) <= place / total + 1e-6


@given(st.lists(st.integers(-4, 4) | st.floats(-1e6, 1e6), max_size=40))
def test_the_correlation_is_spearmans(values):
    found, expected = spearman(np.array(values, np.float64)), naive.spearman(values)
    assert (found is None) == (expected is None)
    assert found is None or math.isclose(found, expected, abs_tol=1e-9)
    assert spearman(np.array([*values, math.nan])) == found


def test_sums_beyond_64_bits_are_exact():
    values = np.arange(1_000_000, dtype=np.float64)
    assert (
        _exact_sum(values.astype(np.int64) << 10, values.astype(np.int64) << 10)
        == sum(n * n for n in range(10**6)) << 20
    )
    assert (spearman(values[:9999]), spearman(-values[:9999])) == (1.0, -1.0)


# whole builds


def build(folder, curricula, **settings):
    """Two sources, one of which repeats, and curricula over a recipe's rungs."""
    sources = {
        name: little.write_jsonl(folder / f"{name}.jsonl", little.corpus(1, count, prefix=name))
        for name, count in (("a", 12), ("b", 90))
    }
    study = {
        "scores": {"lengths": {"type": "lengths"}},
        "recipes": {"all": {"weights": {"a": 0.4, "b": 0.6}, "repeat": 5}},
        "budgets": [20 * LENGTH, 150 * LENGTH],
        **settings,
    }
    return little.build(little.write_study(folder, sources, curricula=curricula, **study), folder / "out")


def pieces(result, shards):
    """(document, offset, tokens, difficulty, stratum) of every row of the documents tables, in order."""
    out = []
    for shard in shards:
        table, first = pq.read_table(result.out / shard["path"]), None
        for row in pq.read_table(result.out / shard["documents"]).to_pylist():
            first = row["sequence"] if first is None else first
            n, start = row["sequence"] - first, row["position"]
            ids = table["input_ids"][n].as_py()[start : start + row["length"]]
            out.append((row["document"].hex(), row["offset"], ids, row.get("difficulty"), table["stratum"][n].as_py()))
    return out


def whole(found):
    """Occurrences of documents, stratum by stratum: (document, tokens, difficulty, stratum)."""
    out, open_in = [], {}
    for document, offset, ids, difficulty, stratum in found:
        if offset == 0:
            open_in[stratum] = len(out)
            out.append((document, list(ids), difficulty, stratum))
        else:
            assert out[open_in[stratum]][0] == document
            assert len(out[open_in[stratum]][1]) == offset
            out[open_in[stratum]][1].extend(ids)
    return out


def occurrences(documents):
    return collections.Counter((document, tuple(ids)) for document, ids, _, _ in documents)


def expected_order(documents, one, seed=7):
    """Occurrences of a rung, stratum by stratum, as a curriculum is to have them."""
    seed = seat_seed(seed, one.get("permutation", 0))
    texts = [row["text"] for name, count in (("a", 12), ("b", 90)) for row in little.corpus(1, count, prefix=name)]
    words = {little.document_id(one): len(one.split()) for one in texts}  # of the whole, where the rung's end cuts it
    times = collections.Counter()
    items = []
    for document, ids, _, stratum in documents:
        seat = naive.mix64(seed, int(document[:16], 16), int(document[16:], 16)) ^ naive.fmix64(times[document])
        items.append((words[document], seat, times[document], document, ids, stratum))
        times[document] += 1
    phases = one.get("phases") or ([[name] for name in sorted({i[5] for i in items})] if one.get("mixed") else None)
    out = []
    for phase in phases or [{item[5] for item in items}]:
        inside = [item for item in items if item[5] in phase]
        sign = {"ascending": 1, "descending": -1, "random": 0}[one.get("order", "ascending")]
        inside.sort(key=lambda item: (sign * item[0], *item[1:4]))
        tokens, seats = [len(item[4]) for item in inside], [item[1] for item in inside]
        settings = {"start": 0.1, "full_at": 0.5, "steps": 5, **one}
        before = np.cumsum(tokens) - np.array(tokens)
        released = releases(before, sum(tokens), settings).tolist() if "pace" in one else []
        out += [inside[n] for n in naive.place_items(tokens, seats, released, settings)[0]]
    return [(item[3], tuple(item[4])) for item in out]


ONE = {"recipe": "all", "sort": "lengths.words"}
EVERY = {
    "easy": {**ONE, "rung": "9600"},
    "hard": {**ONE, "rung": 9600, "order": "descending", "mixed": True},
    "control": {**ONE, "rung": "9.6K", "order": "random", "permutation": 3},
    "linear": {**ONE, "rung": "9.6K", "pace": "linear"},
    "root": {**ONE, "rung": "9.6K", "pace": "root", "start": 0.3, "order": "descending"},
    "step": {**ONE, "rung": "9.6K", "pace": "step", "steps": 3, "mixed": True},
    "exponential": {**ONE, "rung": "9.6K", "pace": "exponential", "full_at": 0.9},
    "buckets": {**ONE, "rung": "9.6K", "buckets": 4},
    "anneal": {**ONE, "rung": "9.6K", "buckets": [0.9, 0.1]},
    "sweeps": {**ONE, "rung": "9.6K", "sweeps": 3},
    "phases": {**ONE, "rung": "9.6K", "phases": [["b"], ["a"]], "order": "random"},
    "small": {**ONE, "rung": "1280", "phases": [["a"], ["b"]]},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return build(tmp_path_factory.mktemp("curricula"), EVERY)


@pytest.mark.parametrize("name", EVERY)
def test_a_curriculum_holds_its_rungs_documents_in_the_order_asked_for(made, name):
    told = made.manifest["curricula"][name]
    rung = made.rungs()[told["rung"]]
    assert (told["tokens"], told["sequences"]) == (rung["tokens"], rung["sequences"])
    theirs, mine = whole(pieces(made, rung["shards"])), whole(pieces(made, told["shards"]))
    assert occurrences(mine) == occurrences(theirs)
    expected = expected_order(theirs, EVERY[name])
    if EVERY[name].get("mixed"):
        found = [(d, tuple(ids)) for stratum in "ab" for d, ids, _, s in mine if s == stratum]
        labels = [pq.read_table(made.out / shard["path"])["stratum"].to_pylist() for shard in rung["shards"]]
        again = [pq.read_table(made.out / shard["path"])["stratum"].to_pylist() for shard in told["shards"]]
        assert sum(again, []) == sum(labels, [])  # noqa: RUF017 a few rows
    else:
        found = [(d, tuple(ids)) for d, ids, _, _ in mine]
        assert {s for *_, s in mine} == {"all"}
    assert found == expected
    assert told["documents"] == len(expected)
    difficulty = [one for _, _, one, _ in mine]
    assert told["spearman"] == pytest.approx(naive.spearman(difficulty), abs=1e-9)
    for stratum, one in told["strata"].items():
        inside = [value for _, _, value, s in mine if s == stratum]
        assert (one["documents"], one["spearman"]) == (len(inside), pytest.approx(naive.spearman(inside), abs=1e-9))


def test_orders_go_with_the_difficulty_as_far_as_they_say(made):
    rank = {name: one["spearman"] for name, one in made.manifest["curricula"].items()}
    assert rank["easy"] > 0.999
    assert min(one["spearman"] for one in made.manifest["curricula"]["hard"]["strata"].values()) < -0.97
    assert abs(rank["control"]) < 0.2
    assert rank["buckets"] > 0.8
    assert 0 < rank["linear"] < rank["buckets"]
    assert rank["root"] < 0


@pytest.mark.filterwarnings("ignore")
def test_verify_finds_all_as_told_and_datasets_loads_it(made, tmp_path):
    datasets = pytest.importorskip("datasets", reason="the extra hf is not installed")
    assert [check.found for check in verify(str(made.out)) if not check.holds] == []
    rows = datasets.load_dataset(str(made.out), "anneal-9.6K", split="train", cache_dir=str(tmp_path))
    tables = [pq.read_table(made.out / shard["path"]) for shard in made.manifest["curricula"]["anneal"]["shards"]]
    assert rows.with_format("arrow")[:]["input_ids"].to_pylist() == pa.concat_tables(tables)["input_ids"].to_pylist()
    shown = CliRunner().invoke(cli, ["card", str(made.out)]).output
    head = "| configuration | documents of | difficulty | order | rank correlation with the difficulty |"
    assert head in shown
    rank = made.manifest["curricula"]["step"]["spearman"]
    line = f"| step-9.6K | all-9.6K | lengths.words | ascending, pace step, mixed | {rank:+.4f} |"
    assert line in shown


def test_a_curriculum_is_decoded_and_exported_by_its_name(made, tmp_path):
    opened = open_result(str(made.out))
    assert opened.rung("easy") == opened.rung("easy-9.6K")
    shards = made.manifest["curricula"]["easy"]["shards"]
    tables = [pq.read_table(made.out / shard["path"], columns=["input_ids"]) for shard in shards]
    ids = np.concatenate(pa.concat_tables(tables)["input_ids"].to_pylist())
    shown = list(decode(str(made.out), "easy", "0:"))
    assert "".join(piece.text for one in shown for piece in one.pieces).encode() == bytes(ids[ids != 256].tolist())
    names = {row["name"] for row in made.ledger() if row["outcome"] == "kept"}
    assert {piece.name for one in shown for piece in one.pieces} <= names
    export(str(made.out), "easy-9.6K", "nanogpt", str(tmp_path / "flat"))
    assert np.fromfile(tmp_path / "flat/train.bin", np.uint16).tolist() == ids.tolist()
    said = export(str(made.out), "easy-9.6K", "parquet", str(tmp_path / "text"))
    assert said["texts"]["documents"] == made.manifest["curricula"]["easy"]["documents"]


def test_a_missing_difficulty_comes_last_either_way_and_is_told(tmp_path):
    values = np.array([2.0, math.nan, -1.0, 0.0])
    assert np.argsort(_value(values, "ascending")).tolist() == [2, 3, 0, 1]
    assert np.argsort(_value(values, "descending")).tolist() == [0, 3, 2, 1]
    result = build(tmp_path, {"none": {"recipe": "all", "rung": "1280", "order": "random"}})
    none = result.manifest["curricula"]["none"]
    assert (none["without_difficulty"], none["spearman"]) == (none["documents"], None)
    assert [check.found for check in verify(str(result.out)) if not check.holds] == []


def test_other_curricula_leave_the_stream_and_what_was_left_is_taken_away(tmp_path):
    first = build(tmp_path, {"one": EVERY["easy"], "two": EVERY["hard"]})
    before, stream = little.files(first.out), first.manifest["recipes"]
    second = build(tmp_path, {"one": {**EVERY["easy"], "rung": "1280"}})
    assert second.manifest["recipes"] == stream
    left = {"/".join(path.split("/")[:3]) for path in little.files(second.out) if path.startswith("curricula/")}
    assert left == {"curricula/one/1.28K"}
    assert [check.found for check in verify(str(second.out)) if not check.holds] == []
    again = build(tmp_path, {"one": EVERY["easy"], "two": EVERY["hard"]})
    assert little.differing(little.files(again.out), before) == []
    stamps = little.stamps(tmp_path / "out")
    little.build(tmp_path / "study.toml", tmp_path / "out")
    assert little.stamps(tmp_path / "out") == stamps


@little.few(3)
@given(cuts=st.lists(st.integers(1, 89), max_size=6, unique=True), reverse=st.booleans())
def test_files_cut_and_named_otherwise_give_the_same_order(made, tmp_path_factory, cuts, reverse):
    folder = tmp_path_factory.mktemp("cut")
    rows = little.corpus(1, 90, prefix="b")[:: -1 if reverse else 1]
    edges = [0, *sorted(cuts), 90]
    for n, (start, stop) in enumerate(itertools.pairwise(edges)):
        little.write_jsonl(folder / "b" / f"{n}.jsonl", rows[start:stop])
    few = little.write_jsonl(folder / "a.jsonl", little.corpus(1, 12, prefix="a"))
    study = little.write_study(
        folder,
        {"a": few, "b": {"format": "jsonl", "path": "b/*.jsonl"}},
        scores={"lengths": {"type": "lengths"}},
        recipes={"all": {"weights": {"a": 0.4, "b": 0.6}, "repeat": 5}},
        budgets=[20 * LENGTH, 150 * LENGTH],
        curricula=EVERY,
    )
    other = little.build(study, folder / "out")
    mine, theirs = ({p: d for p, d in little.files(one.out).items() if p.startswith("cur")} for one in (other, made))
    assert little.differing(mine, theirs) == []


# verify finds what is wrong


def broken(folder):
    return {check.promise: check.found for check in verify(str(folder)) if not check.holds}


def spoil(made, folder, name, change):
    """A copy in which one file of a curriculum, or the manifest, is changed and signed again."""
    import shutil

    out = shutil.copytree(made.out, folder / "copy", ignore=shutil.ignore_patterns(".store", ".build"))
    manifest = json.loads((out / "manifest.json").read_text())
    one = manifest["curricula"][name]
    change(out, one)
    for shard in one["shards"]:
        for path, key in ((shard["path"], "sha256"), (shard["documents"], "documents_sha256")):
            shard[key] = hashlib.sha256((out / path).read_bytes()).hexdigest()
        shard["bytes"] = (out / shard["path"]).stat().st_size
    recipes = {
        name: [[s["sha256"] for s in r["rungs"][-1]["shards"]], [e["sha256"] for e in r["ledger"]], r["counts"]]
        for name, r in manifest["recipes"].items()
    }
    orders = {name: [shard["sha256"] for shard in one["shards"]] for name, one in manifest["curricula"].items()}
    manifest["root_hash"] = store.fingerprint([manifest["counts"], [], recipes, orders])
    (out / "manifest.json").write_text(json.dumps(manifest))
    return broken(out)


def test_a_changed_token_is_found(made, tmp_path):
    def change(out, one):
        path = out / one["shards"][1]["path"]
        table = pq.read_table(path)
        ids = table["input_ids"].to_pylist()
        ids[0][5] = 100 if ids[0][5] != 100 else 101
        column = pa.array(ids, table.schema.field("input_ids").type)
        pq.write_table(table.set_column(0, "input_ids", column), path)

    found = spoil(made, tmp_path, "easy", change)
    assert list(found) == ["Same documents (curriculum easy)"]
    assert re.fullmatch(r"document [0-9a-f]{32} has other tokens than in all-9.6K", found.popitem()[1])


def test_another_difficulty_than_the_order_says_is_found(made, tmp_path):
    def change(out, one):
        path = out / one["shards"][0]["documents"]
        table = pq.read_table(path)
        worse = pa.array([99.0, *table["difficulty"].to_pylist()[1:]])
        pq.write_table(table.set_column(5, "difficulty", worse), path)

    found = spoil(made, tmp_path, "easy", change)
    assert list(found) == ["Ordered (curriculum easy)"]
    assert found["Ordered (curriculum easy)"].startswith("all is not in ascending order of lengths.words; the rank")


@pytest.mark.parametrize(
    ("told", "promise", "said"),
    [
        ({"spearman": 0.5}, "Ordered", r"the rank correlation of the whole is 0\.99\d+, not 0\.5"),
        ({"documents": 7}, "Ordered", r"\d+ documents, 0 of them without a difficulty, not 7 and 0"),
        ({"rung": "1.28K"}, "Same documents", r"document [0-9a-f]{32} is not in all-1.28K \(and \d+ more\)"),
        ({"rung": "7"}, "Same documents", "the manifest has no rung 7 of all"),
        ({"order": "descending"}, "Ordered", "all is not in descending order of lengths.words"),
        ({"sequences": 149}, "Exact", ".*the shards hold 150 sequences, not 149.*"),
        ({"strata": {}}, "Ordered", "all has 150 sequences and .* documents, other than is told.*"),
    ],
)
def test_what_the_manifest_tells_wrongly_is_found(made, tmp_path, told, promise, said):
    found = spoil(made, tmp_path, "easy", lambda _, one: one.update(told))
    assert re.fullmatch(said, found[f"{promise} (curriculum easy)"])


def test_a_missing_or_strange_file_is_found(made, tmp_path):
    found = spoil(made, tmp_path, "easy", lambda out, _: (out / "curricula" / "strange").write_text("?"))
    assert found == {"Files": "curricula/strange: no manifest lists it"}


# mistakes

STUDY = """
name = "s"
budgets = ["1K", "2K"]
sequence_length = 64
tokenizer = { type = "bytes" }
sources.web = { format = "jsonl", path = "w.jsonl" }
scores.gopher = { type = "gopher" }
recipes.all = {}
"""


@pytest.mark.parametrize(
    ("curriculum", "mistake"),
    [
        ('recipe = "al", rung = "1K", sort = "tokens"', ".recipe: there is no recipe 'al', did you mean 'all'?"),
        ('recipe = "all", rung = "3K", sort = "tokens"', ".rung: 3K is none of the budgets: 1K, 2K"),
        (
            'recipe = "all", rung = "much", sort = "tokens"',
            '.rung: not a positive whole number of tokens. Write "100M", "1.5B" or 250000',
        ),
        ('recipe = "all", rung = "1K"', '.sort: missing. Write sort = "SCORE", or order = "random"'),
        ('recipe = "all", rung = "1K", buckets = 4', '.sort: missing. Write sort = "SCORE"'),
        (
            'recipe = "all", rung = "1K", sort = "gopher.word"',
            ".sort: gopher has no column 'word', did you mean 'words'?",
        ),
        (
            'recipe = "all", rung = "1K", sort = "source"',
            ".sort: 'source' holds a label. Test it with is, in",
        ),
        (
            'recipe = "all", rung = "1K", sort = "tokens", pace = "root", sweeps = 3',
            ": has pace and sweeps. Give one of them",
        ),
        (
            'recipe = "all", rung = "1K", sort = "tokens", order = "random", sweeps = 3',
            ": sweeps goes by an order. Write order = 'ascending' or 'descending'",
        ),
        (
            'recipe = "all", rung = "1K", sort = "tokens", buckets = [0.5, 0.4]',
            ".buckets: shares sum to 0.9. They must sum to 1",
        ),
        (
            'recipe = "all", rung = "1K", sort = "tokens", phases = [["web"], ["cod"]]',
            ".phases[1]: there is no source 'cod'. Known: web",
        ),
        (
            'recipe = "all", rung = "1K", sort = "tokens", phases = [["web"], ["web"]]',
            ".phases: 'web' stands in two phases. Name it once",
        ),
        (
            'recipe = "all", rung = "1K", sort = "tokens", mixed = true, phases = [["web/a"], ["web/b"]]',
            ": has phases and mixed. A phase holds some strata only; give one of them",
        ),
        (
            'recipe = "all", rung = "1K", sort = "tokens", speed = 1',
            (
                ".speed: no such key. Known: recipe, rung, sort, order, pace, start, full_at, steps, buckets, sweeps, "
                "phases, mixed, permutation"
            ),
        ),
        ('rung = "1K", sort = "tokens"', '.recipe: missing. Write recipe = "…"'),
        ('recipe = "all", sort = "tokens"', '.rung: missing. Write rung = "1B", one of the budgets'),
    ],
)
def test_mistakes_are_named(curriculum, mistake):
    with pytest.raises(StudyError) as error:
        parse(STUDY + f"curricula.c = {{ {curriculum} }}\n", "/data/study.toml")
    assert error.value.mistakes == [f"curricula.c{mistake}"]


def test_a_curriculum_is_not_called_as_a_recipe():
    for name in ("all", "held_out"):
        with pytest.raises(StudyError) as error:
            parse(STUDY + f'curricula.{name} = {{ recipe = "all", rung = "1K", sort = "tokens" }}', "/data/study.toml")
        known = f"curricula.{name}: '{name}' is the name of something else that can be loaded. Choose another name"
        assert error.value.mistakes == [known]


def test_phases_that_leave_strata_out_or_name_none_are_refused(tmp_path):
    for phases, said in (
        ([["a"], ["b/x"]], "curricula.c.phases[1]: all has no stratum 'b/x'. Its strata: a, b."),
        ([["b"], ["b/x"]], "curricula.c.phases[1]: all has no stratum 'b/x'. Its strata: a, b."),
    ):
        with pytest.raises(store.UserError) as error:
            build(tmp_path, {"c": {**ONE, "rung": "1280", "phases": phases}})
        assert str(error.value) == said
    with pytest.raises(
        store.UserError, match=r"^curricula\.c\.phases: a/none of all in no phase\. Name every stratum\.$"
    ):
        build(
            tmp_path / "kinds",
            {"c": {**ONE, "rung": "1280", "phases": [["b"], ["b/none"]]}},
            strata=["source", "kind"],
        )
