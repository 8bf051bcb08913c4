"""Best-fit packing: documents that fit a sequence are not cut, and what is left of a sequence is padding."""

from __future__ import annotations

import collections
import json
import re
import shutil

import little
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.pipelines.ask.decode import decode
from tokenladder.pipelines.export.export import export
from tokenladder.pipelines.files import store
from tokenladder.pipelines.recount.verify import verify
from tokenladder.pipelines.stages.curriculum import releases, seat_seed
from tokenladder.pipelines.stages.fit import block_buckets, fit
from tokenladder.training.cache import Cache
from tokenladder.training.rung import open_rung
from tokenladder.training.stream import Stream

import naive


@given(st.lists(st.lists(st.integers(1, 33), max_size=40), max_size=4))
def test_packing_equals_the_slow_twin_block_by_block(blocks):
    tokens = np.array([size for block in blocks for size in block], np.int64)
    numbers = np.repeat(np.arange(len(blocks)), [len(block) for block in blocks])
    sequence, place, count = fit(tokens, numbers, 33)
    expected, base = [], 0
    for block in blocks:
        mine = naive.best_fit(block, 33)
        expected += [(base + at, where) for at, where in mine]
        base += max((at + 1 for at, _ in mine), default=0)
    assert list(zip(sequence.tolist(), place.tolist(), strict=True)) == expected
    assert count == base
    filled = np.bincount(sequence, tokens, count)
    assert filled.max(initial=0) <= 33
    assert count >= -(-tokens.sum() // 33)


def test_most_of_a_sequence_is_filled():
    tokens = np.random.default_rng(1).integers(1, 1000, 20_000)
    count = fit(tokens, np.zeros(len(tokens), np.int64), 1000)[2]
    assert tokens.sum() / (count * 1000) > 0.995


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="Documents of 3 to 9 tokens do not fit sequences of 8"):
        fit(np.array([3, 9]), np.zeros(2, np.int64), 8)


@pytest.mark.parametrize(("documents", "buckets"), [(0, 4096), (8191, 4096), (8192, 2048), (10**12, 1)])
def test_blocks_follow_the_number_of_documents(documents, buckets):
    assert block_buckets(documents) == buckets


@pytest.fixture(scope="module")
def rows():
    return {
        "web": little.corpus(1, 60, prefix="w", words=(5, 60)) + little.corpus(5, 4, prefix="l", words=(150, 200)),
        "code": little.corpus(2, 60, prefix="c", words=(3, 20)),
    }


LONG = 4 * little.LENGTH
BUDGETS = [5 * LONG, 20 * LONG]


def study_of(folder, rows, **more):
    sources = {name: little.write_jsonl(folder / f"{name}.jsonl", those) for name, those in rows.items()}
    settings = {"budgets": BUDGETS, "sequence_length": LONG, "shard_tokens": 4 * LONG, "packing": "best-fit"}
    settings["recipes"] = {"all": {"weights": {"web": 0.75, "code": 0.25}}}
    return little.write_study(folder, sources, **{**settings, **more})


@pytest.fixture(scope="module")
def built(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("fit")
    return little.build(study_of(folder, rows, held_out={"tokens": 2 * LONG}), folder / "out")


def filled(result, recipe="all", rung=-1):
    """For each sequence: its stratum, its ids without padding, and how many are padding."""
    table = result.shards(recipe, rung)
    out = []
    for row in table.to_pylist():
        ids, padding = row["input_ids"], row["padding"]
        assert ids[len(ids) - padding :] == [256] * padding
        out.append((row["stratum"], ids[: len(ids) - padding], padding))
    return out


def test_no_document_that_fits_is_cut_and_padding_is_counted(rows, built):
    assert [check.found for check in verify(str(built.out)) if not check.holds] == []
    texts = {row["text"] for those in rows.values() for row in those}
    for _, ids, _ in filled(built):
        if 256 in ids:
            assert ids[-1] == 256
            pieces = little.decoded(np.array(ids), built.manifest)
            assert all(piece in texts or any(text.endswith(piece) for text in texts) for piece in pieces)
        else:
            assert len(ids) == LONG  # a piece of a longer one
    for number, rung in enumerate(built.manifest["recipes"]["all"]["rungs"]):
        found = filled(built, rung=number)
        assert rung["tokens"] == len(found) * LONG == BUDGETS[number]
        assert rung["padding_tokens"] == sum(padding for _, _, padding in found) > 0
        assert rung["tokens"] == rung["unique_tokens"] + rung["repeated_tokens"] + rung["padding_tokens"]
        for name, one in rung["strata"].items():
            assert one["padding_tokens"] == sum(padding for stratum, _, padding in found if stratum == name)
    assert built.manifest["packing"] == "best-fit"
    assert (
        "padding" not in store.read_table(str(built.out / built.manifest["held_out"]["shards"][0]["path"])).column_names
    )


def test_a_stratum_is_packed_as_the_slow_twin_packs_its_documents_in_order(rows, tmp_path):
    settings = {"recipes": {"all": {"dedup": False}}, "budgets": [20 * LONG], "strata": ["source"]}
    result = little.build(study_of(tmp_path, {"web": rows["web"]}, **settings), tmp_path / "out")
    items = []
    for text in little.ordered([row["text"] for row in rows["web"]]):
        ids = [*text.encode(), 256]
        items += [ids[start : start + LONG] for start in range(0, len(ids), LONG)]
    sequences = {}
    for item, (sequence, place) in zip(items, naive.best_fit([len(item) for item in items], LONG), strict=True):
        sequences.setdefault(sequence, []).append((place, item))
    expected = [[one for _, item in sorted(sequences[n]) for one in item] for n in sorted(sequences)]
    assert [ids for _, ids, _ in filled(result)] == expected[:20]


def test_other_parts_and_rungs_give_the_same_sequences(rows, built, tmp_path):
    for name, those in rows.items():
        for n in range(3):
            little.write_jsonl(tmp_path / f"{name}{n}.jsonl", those[n::3][::-1])
    sources = {name: {"format": "jsonl", "path": str(tmp_path / f"{name}*.jsonl")} for name in ("code", "web")}
    more = {
        "sequence_length": LONG,
        "packing": "best-fit",
        "recipes": {"all": {"weights": {"web": 0.75, "code": 0.25}}},
    }
    more |= {"held_out": {"tokens": 2 * LONG}, "input_ids": "binary", "budgets": BUDGETS[:1]}
    other = little.build(little.write_study(tmp_path, sources, **more), tmp_path / "out")
    ids = [np.frombuffer(one, np.uint16).tolist() for one in other.shards().column("input_ids").to_pylist()]
    assert ids == built.shards(rung=0).column("input_ids").to_pylist()
    assert [check.found for check in verify(str(other.out)) if not check.holds] == []


def test_passes_rescaling_and_a_cap_keep_the_promises(rows, tmp_path):
    recipes = {"all": {"repeat": 3, "rescale": True, "weights": {"web": 0.3, "code": 0.7}}}
    study = study_of(tmp_path, rows, recipes=recipes, budgets=[10 * LONG, 90 * LONG], max_document_sequences=2)
    result = little.build(study, tmp_path / "out")
    rung = result.manifest["recipes"]["all"]["rungs"][-1]
    assert rung["repeated_tokens"] > 0
    assert [check.found for check in verify(str(result.out)) if not check.holds] == []


@pytest.mark.parametrize("sequences", [150, 600])
def test_copies_that_stand_apart_are_told_from_passes(tmp_path, sequences):
    rows = little.corpus(5, 30, prefix="a", copies=15)
    others = rows[5:25] + rows[3:9] + [{"text": "uno dos tres " * 90}] * 3
    again = [{"id": f"b{n}", "text": row["text"]} for n, row in enumerate(others)]
    recipes = {"all": {"weights": {"a": 0.5, "b": 0.5}, "dedup": False, "repeat": 9}}
    settings = {"recipes": recipes, "sequence_length": little.LENGTH, "budgets": [sequences * little.LENGTH]}
    result = little.build(study_of(tmp_path, {"a": rows, "b": again}, **settings), tmp_path / "out")
    assert [check.found for check in verify(str(result.out)) if not check.holds] == []
    rung = result.manifest["recipes"]["all"]["rungs"][-1]
    assert bool(rung["repeated_tokens"]) == (sequences == 600)


def test_too_little_text_is_told_with_the_padding_counted(rows, tmp_path):
    with pytest.raises(store.UserError, match=r"all: the kept documents do not fill its largest rung"):
        little.build(study_of(tmp_path, rows, budgets=[400 * LONG]), tmp_path / "out")


def test_the_budget_that_is_advised_where_strata_are_rescaled_can_be_filled(rows, tmp_path):
    recipes = {"all": {"rescale": True, "weights": {"web": 0.3, "code": 0.7}}}
    with pytest.raises(store.UserError) as error:
        little.build(study_of(tmp_path, rows, recipes=recipes, budgets=[400 * LONG]), tmp_path / "out")
    advised = int(re.search(r"Lower the budgets to ([0-9,]+) tokens", str(error.value))[1].replace(",", ""))
    result = little.build(study_of(tmp_path, rows, recipes=recipes, budgets=[advised]), tmp_path / "out")
    assert [check.found for check in verify(str(result.out)) if not check.holds] == []


def test_the_loader_knows_the_padding(built, tmp_path):
    stream = Stream(open_rung(built.out, "all-5.12K", cache=Cache(str(tmp_path))), epochs=1)
    batch = stream.batch(np.arange(20))
    expected = [padding for _, _, padding in filled(built)]
    assert batch.padding.tolist() == expected
    labels = batch.labels()
    for row, padding in enumerate(expected):
        assert (labels[row, LONG - padding :] == -100).all()
        assert (labels[row, : LONG - padding] == batch.tokens[row, : LONG - padding]).all()
        if padding:
            assert batch.position_ids[row, LONG - padding] == 0
            assert batch.document_numbers[row, LONG - padding] > batch.document_numbers[row, LONG - padding - 1]
    inputs, shifted = batch.inputs_and_labels()
    assert np.array_equal(shifted, labels[:, 1:])
    assert np.array_equal(inputs, batch.tokens[:, :-1])
    held = Stream(open_rung(built.out, "held_out", cache=Cache(str(tmp_path))), epochs=1)
    assert held.batch(np.arange(2)).padding.tolist() == [0, 0]


def test_exports_and_people_see_no_padding(rows, built, tmp_path):
    said = export(str(built.out), "all", "parquet", str(tmp_path / "texts"))["texts"]
    rung = built.manifest["recipes"]["all"]["rungs"][-1]
    assert said["tokens"] == rung["tokens"] - rung["padding_tokens"]
    assert said["left_out"] == 0
    texts = [row["text"] for those in rows.values() for row in those]
    pieces = [piece for one in decode(str(built.out), "all", "0:20") for piece in one.pieces]
    assert all(any(piece.text.removesuffix("<|endoftext|>") in text for text in texts) for piece in pieces)


def test_verify_finds_padding_that_is_none(built, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(built.out, out, ignore=shutil.ignore_patterns(".store"))
    manifest = json.loads((out / "manifest.json").read_text())
    rung = manifest["recipes"]["all"]["rungs"][-1]
    rung["padding_tokens"] += 1
    rung["unique_tokens"] -= 1
    (out / "manifest.json").write_text(json.dumps(manifest))
    found = " ".join(check.found for check in verify(str(out)) if not check.holds)
    assert f"tokens of padding, not {rung['padding_tokens']:,}" in found
    table = store.read_table(str(out / rung["shards"][0]["path"]))
    ids = np.array(table.column("input_ids").to_pylist(), np.uint16)
    padding = table.column("padding").to_numpy()
    ids[padding.argmax(), -1] = 65
    wrong = pa.FixedSizeListArray.from_arrays(pa.array(ids.reshape(-1)), LONG)
    table = table.set_column(0, "input_ids", wrong).set_column(3, "padding", pa.array(padding[::-1].copy()))
    store.write_table(str(out / rung["shards"][0]["path"]), table)
    found = " ".join(check.found for check in verify(str(out)) if not check.holds)
    assert "padding is not the end-of-document token" in found
    assert "padding is not what documents leave of the sequences" in found


# curricula

SETTINGS = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"buckets": st.integers(2, 4)}),
    st.fixed_dictionaries({"sweeps": st.integers(2, 4)}),
    st.fixed_dictionaries(
        {"pace": st.sampled_from(["linear", "step"]), "start": st.just(0.3), "full_at": st.just(0.8)}
    ),
)


def sequences(result, shards):
    """Of every sequence: its stratum, its ids, its padding, and the pieces that stand in it."""
    out = []
    for shard in shards:
        table, documents = (store.read_table(str(result.out / shard[key])).to_pylist() for key in ("path", "documents"))
        first = len(out)
        out += [(row["stratum"], tuple(row["input_ids"]), row["padding"], []) for row in table]
        for row in documents:
            assert first <= row["sequence"] < len(out)
            out[row["sequence"]][3].append((row["document"].hex(), row["offset"], row["length"], row.get("difficulty")))
    return out


def expected_sequences(found, one, difficulty):
    """The rung's sequences as a curriculum is to have them, of one class of them."""
    seed, items, times = seat_seed(7, one.get("permutation", 0)), [], collections.Counter()
    for at, (stratum, _, _, pieces) in enumerate(found):
        known = [(length, difficulty(document, length)) for document, _, length, _ in pieces]
        mean = sum(length * value for length, value in known) / sum(length for length, _ in known)
        document, offset, _, _ = pieces[0]
        again = times[stratum, document, offset]
        times[stratum, document, offset] += 1
        seat = naive.mix64(seed, int(document[:16], 16), int(document[16:], 16))
        seat ^= naive.fmix64(again) ^ naive.fmix64(offset << 32)
        sign = {"ascending": 1, "descending": -1, "random": 0}[one.get("order", "ascending")]
        items.append((sign * mean, seat, again, document, offset, at))
    items.sort()
    tokens, seats = [len(ids) for _, ids, _, _ in found], [item[1] for item in items]
    settings = {"start": 0.1, "full_at": 0.5, "steps": 5, **one}
    before = np.cumsum(tokens) - np.array(tokens)
    released = releases(before, sum(tokens), settings).tolist() if "pace" in one else []
    order = naive.place_items(tokens, seats, released, settings)[0]
    return [found[items[n][5]][1] for n in order]


@little.few(3)
@given(
    SETTINGS,
    st.sampled_from(["ascending", "descending"]),
    st.sampled_from(["lengths.words", "tokens"]),
    st.integers(0, 3),
)
def test_curricula_order_whole_sequences_of_a_rung(tmp_path_factory, settings, order, sort, permutation):
    folder = tmp_path_factory.mktemp("orders")
    rows = {name: little.corpus(3, 24, prefix=name, words=(5, 70)) for name in ("web", "code")}
    one = {"recipe": "all", "rung": 30 * LONG, "sort": sort, "order": order, "permutation": permutation, **settings}
    control = {**one, "order": "random"}
    curricula = {"plain": one, "mixed": {**one, "mixed": True}}
    curricula["phases"] = {**one, "phases": [["code"], ["web"]]}
    curricula["control"] = {key: value for key, value in control.items() if key not in settings}
    recipes = {"all": {"weights": {"web": 0.75, "code": 0.25}, "repeat": 3}}
    settled = {"budgets": [8 * LONG, 30 * LONG], "scores": {"lengths": {"type": "lengths"}}}
    study = study_of(folder, rows, curricula=curricula, recipes=recipes, **settled)
    result = little.build(study, folder / "out")
    assert [check.found for check in verify(str(result.out)) if not check.holds] == []
    rung = result.rungs()["7.68K"]
    assert rung["repeated_tokens"] > 0
    theirs = sequences(result, rung["shards"])
    sizes = {little.document_id(row["text"]): len(row["text"].split()) for those in rows.values() for row in those}
    difficulty = (lambda document, _: sizes[document]) if sort == "lengths.words" else (lambda _, length: length)
    for name, asked in curricula.items():
        told = result.manifest["curricula"][name]
        mine = sequences(result, told["shards"])
        assert told["padding_tokens"] == rung["padding_tokens"] == sum(padding for _, _, padding, _ in mine)
        classes = [("web", "code")]
        if name == "mixed":
            classes = [("code",), ("web",)]
            assert [sum(row[0] == "web" for row in mine[:n]) for n in range(30)] == [
                sum(row[0] == "web" for row in theirs[:n]) for n in range(30)
            ]
        elif name == "phases":
            classes = [("code",), ("web",)]
        found = (
            [row[1] for stratum in ("code", "web") for row in mine if row[0] == stratum]
            if name == "mixed"
            else [row[1] for row in mine]
        )
        expected = [
            expected_sequences([row for row in theirs if row[0] in kind], asked, difficulty) for kind in classes
        ]
        assert (name, found) == (name, [ids for every in expected for ids in every])
        means = [
            sum(size * value for _, _, size, value in row[3]) / sum(size for _, _, size, _ in row[3]) for row in mine
        ]
        rank = naive.spearman(means)
        assert abs(told["sequence_spearman"] - rank) < 1e-9
        if not settings and name == "plain":  # never turns; ties, of sequences that come again, are not 1
            assert means == sorted(means, reverse=order == "descending")
            assert rank * (-1 if order == "descending" else 1) > 0.9


def test_verify_finds_sequences_of_a_curriculum_that_are_out_of_order(rows, tmp_path):
    curricula = {"easy": {"recipe": "all", "rung": BUDGETS[0], "sort": "bytes"}}
    result = little.build(study_of(tmp_path, rows, curricula=curricula), tmp_path / "out")
    path = result.out / "manifest.json"
    told = result.manifest["curricula"]["easy"]
    assert "Sequences stay as they were packed" in (result.out / "README.md").read_text()
    stream = Stream(open_rung(result.out, "easy-1.28K", cache=Cache(str(tmp_path / "cache"))), epochs=1)
    assert stream.batch(np.arange(told["sequences"])).padding.sum() == told["padding_tokens"] > 0
    for key, value, found in (
        ("order", "descending", "all is not in descending order of bytes"),
        ("sequence_spearman", 0.5, "the rank correlation of all sequences is"),
        ("padding_tokens", 0, f"{told['padding_tokens']:,} tokens of padding, not 0"),
    ):
        manifest = json.loads(path.read_text())
        changed = {**told, key: value}
        path.write_text(json.dumps({**manifest, "curricula": {"easy": changed}}))
        broken = {check.promise: check.found for check in verify(str(result.out)) if not check.holds}
        assert set(broken) == {"Ordered (curriculum easy)"}
        assert found in broken["Ordered (curriculum easy)"]
