"""Compare: documents that two recipes share or not, by the first rule that parts them; equal to a plain count."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter

import little
import pyarrow as pa
import pytest
from click.testing import CliRunner

from tokenladder.pipelines.ask import compare as module
from tokenladder.pipelines.ask.compare import ABSENT, Comparison, Overlap, compare, id_array
from tokenladder.pipelines.commands.cli import cli
from tokenladder.pipelines.commands.document_tables import show_comparison
from tokenladder.pipelines.files.store import UserError

LENGTH = little.LENGTH


def write(folder, name, rows, **settings):
    web = little.write_jsonl(folder / name / "web.jsonl", rows)
    code = little.write_jsonl(folder / name / "code.jsonl", little.corpus(2, 50, prefix="c", copies=6))
    recipes = {
        "all": {"weights": {"web": 0.75, "code": 0.25}},
        "long": {"keep": [{"score": "lengths.words", "min": 30}], "weights": {"web": 0.5, "code": 0.5}},
        "twice": {"dedup": False, "weights": {"web": 0.75, "code": 0.25}},
    }
    study = little.write_study(
        folder / name,
        {"web": web, "code": code},
        **{"scores": {"lengths": {"type": "lengths"}}, "recipes": recipes, **settings},
    )
    return little.build(study, folder / name / "out")


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compared")
    rows = little.corpus(1, 120, prefix="w", copies=9, neighbours=12)
    first = write(folder, "first", rows, budgets=[20 * LENGTH, 60 * LENGTH])
    second = write(folder, "second", rows[30:] + little.corpus(5, 40, prefix="n"), budgets=[20 * LENGTH, 80 * LENGTH])
    return first, second


def kept(result, recipe, rung):
    """Documents in a rung, with their tokens."""
    names = list(result.rungs(recipe))
    inside = names[: names.index(rung) + 1]
    return {row["document"]: row["tokens"] for row in result.ledger(recipe) if row["first_rung"] in inside}


def expected(a, b, rungs):
    one, other = kept(*a, rungs[0]), kept(*b, rungs[1])
    both = one.keys() & other.keys()
    return (
        len(both),
        len(one) - len(both),
        len(other) - len(both),
        sum(one[document] for document in both),
        sum(other[document] for document in both),
        sum(tokens for document, tokens in one.items() if document not in both),
        sum(tokens for document, tokens in other.items() if document not in both),
    )


def reasons(a, b):
    """Why the second side lacks what only the first has: counts by what any of its records says."""
    one, other = (
        {row["document"]: row["tokens"] for row in x[0].ledger(x[1]) if row["outcome"] == "kept"} for x in (a, b)
    )
    said = {}
    for row in sorted(b[0].ledger(b[1]), key=lambda row: row["outcome"] == "kept"):
        said.setdefault(row["document"], set()).add((row["outcome"], row["reason"]))
    return {document: said.get(document, {(ABSENT, None)}) for document in one.keys() - other.keys()}


@pytest.mark.parametrize("pieces", [1, 7])
@pytest.mark.parametrize(
    ("one", "other"), [((0, "all"), (0, "long")), ((0, "twice"), (0, "all")), ((0, "all"), (1, "long"))]
)
def test_it_counts_what_a_plain_join_counts(two, monkeypatch, one, other, pieces):
    monkeypatch.setattr(module, "ROWS_AT_ONCE", -(-230 // pieces))
    a, b = (two[one[0]], one[1]), (two[other[0]], other[1])
    found = compare(f"{a[0].out}:{a[1]}", f"{b[0].out}:{b[1]}")
    rungs = list(a[0].rungs()), list(b[0].rungs())
    assert [one.rung for one in found.rungs] == [rung for rung in rungs[0] if rung in rungs[1]]
    for overlap, pair in [(found.all, (rungs[0][-1], rungs[1][-1])), *((one, (one.rung,) * 2) for one in found.rungs)]:
        values = [getattr(overlap, name) for name in overlap.__dataclass_fields__ if name != "rung"]
        assert tuple(values) == expected(a, b, pair)
    for x, y, groups in ((a, b, found.only_a), (b, a, found.only_b)):
        said, tokens = reasons(x, y), {row["document"]: row for row in x[0].ledger(x[1]) if row["outcome"] == "kept"}
        assert sum(group.documents for group in groups) == len(said)
        counted = Counter(next(iter(pairs)) for pairs in said.values() if len(pairs) == 1)
        for group in groups:
            key = (group.outcome, group.reason)
            unsure = sum(key in pairs and len(pairs) > 1 for pairs in said.values())
            assert counted[key] <= group.documents <= counted[key] + unsure
            for drawn in group.samples:
                row = tokens[drawn.document]
                assert key in said[drawn.document]
                assert (drawn.source, drawn.name, drawn.tokens) == (row["source"], row["name"], row["tokens"])
            assert len(group.samples) == min(10, group.documents)
            assert [drawn.document for drawn in group.samples] == sorted(drawn.document for drawn in group.samples)


def test_the_mixture_shifts_as_the_manifest_has_it(two):
    found = compare(f"{two[0].out}:all", f"{two[0].out}:long")
    shares = []
    for recipe in ("all", "long"):
        rung = two[0].manifest["recipes"][recipe]["rungs"][-1]
        shares.append({name: one["tokens"] / rung["tokens"] for name, one in rung["strata"].items()})
    assert {one.stratum: (one.a, one.b) for one in found.strata} == {
        name: (shares[0][name], shares[1][name]) for name in shares[0]
    }


def test_nothing_parts_a_recipe_from_itself(two):
    found = compare(f"{two[0].out}:all", f"{two[0].out}:all")
    assert (found.only_a, found.only_b, found.all.only_a, found.all.only_b) == ([], [], 0, 0)
    assert found.all.both > 0


def test_ids_are_read_from_slices_with_nulls():
    digits = [f"{n:032x}" for n in range(5)]
    column = pa.chunked_array([pa.array([*digits[:2], None, *digits[2:]]).slice(1), pa.array([], pa.string())])
    assert id_array(column)["low"].tolist() == [1, 2, 3, 4]
    assert len(id_array(column.slice(0, 0))) == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{out}", "{out}: has several recipes. Write {out}:RECIPE. Its recipes: all, long, twice."),
        ("{out}:logn", "{out}: has no recipe 'logn', did you mean 'long'? Write {out}:RECIPE."),
        ("/no/such:all", "/no/such: holds no manifest.json."),
    ],
)
def test_mistakes_are_told(two, given, message):
    out = str(two[0].out)
    with pytest.raises(UserError) as error:
        compare(given.format(out=out), f"{out}:all")
    assert str(error.value).startswith(message.format(out=out))


def test_it_is_shown_and_printed_as_json(two):
    arguments = ["diff", f"{two[0].out}:all", f"{two[0].out}:long"]
    shown = CliRunner().invoke(cli, arguments, env={"COLUMNS": "70"})
    assert shown.exit_code == 0, shown.output
    found = compare(*arguments[1:])
    for text in ("only A: what B says of it", "dropped: lengths.words min 30", f"{found.all.both:,}", "mixture"):
        assert text in shown.output
    assert f"    {found.only_a[0].samples[0].document}  " in shown.output
    printed = json.loads(CliRunner().invoke(cli, [*arguments, "--json"]).output)
    assert printed["all"]["both"] == found.all.both


def test_tokens_by_two_tokenizers_are_told(capsys):
    overlap = Overlap("2MB", 3, 0, 0, 100, 120, 0, 0)
    show_comparison(Comparison("x:all", "y:all", dataclasses.replace(overlap, rung=None), [overlap], [], [], []), 3)
    shown = " ".join(capsys.readouterr().out.split())
    assert "Each has its own tokenizer: what both have is 120 tokens by B's; shares, too, are of each" in shown
    alike = dataclasses.replace(overlap, rung=None, tokens_both_b=100)
    show_comparison(Comparison("x:all", "y:all", alike, [], [], [], []), 3)
    assert "tokenizer" not in capsys.readouterr().out
