"""Sample and grep: documents by what the ledger says of them, and lines in which a pattern is found."""

from __future__ import annotations

import json
import re
import shutil

import little
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.filters.rules.gopher import Gopher
from tokenladder.pipelines.ask.grep import grep, matches
from tokenladder.pipelines.ask.records import Wanted
from tokenladder.pipelines.ask.sample import sample
from tokenladder.pipelines.ask.texts import compiled
from tokenladder.pipelines.commands.cli import cli
from tokenladder.pipelines.files.schema import OUTCOMES
from tokenladder.pipelines.files.store import UserError

LENGTH = little.LENGTH
LETTER = "write to ann.smith@corp.io today"
MASK = "[email_________________________]"


def rows_of(prefix):
    rows = little.corpus(1, 60, prefix=prefix, copies=4, neighbours=6, words=(20, 90))
    rows[3] = {**rows[3], "text": f"{rows[3]['text']}\n{LETTER}\n\x1b[2Jend"}
    return rows


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sampled")
    sources = {name: little.write_jsonl(folder / f"{name}.jsonl", rows_of(name)) for name in ("web", "code")}
    study = little.write_study(
        folder,
        sources,
        scores={
            "gopher": {"type": "gopher"},
            "lengths": {"type": "lengths"},
            "people": {"type": "personal", "masks": ["email"]},
        },
        recipes={"all": {}, "long": {"keep": [{"score": "lengths.words", "min": 50}]}},
        strata=["source", "gopher"],
    )
    return little.build(study, folder / "out")


def label(text):
    return Gopher().score(pa.record_batch({"text": [text]}))["reason"][0].as_py()


def texts_of():
    rows = [*rows_of("web"), *rows_of("code")]
    return {little.document_id(row["text"]): row["text"] for row in rows}


def test_a_sample_is_of_what_was_asked_for(built):
    out = str(built.out)
    for wanted, fits in [
        (Wanted("long"), lambda _: True),
        (
            Wanted("long", outcomes=("dropped",), source="web"),
            lambda row: (row["outcome"], row["source"]) == ("dropped", "web"),
        ),
        (Wanted("all", rung="1.28K"), lambda row: row["first_rung"] == "1.28K"),
        (Wanted("all", rung="3.84K", outcomes=("kept",)), lambda row: row["outcome"] == "kept"),
        (Wanted("long", rule="words min"), lambda row: row["reason"] == "lengths.words min 50"),
    ]:
        expected = [row for row in built.ledger(wanted.recipe) if fits(row)]
        drawn = sample(out, wanted, 1000)
        assert sorted(one.told["name"] for one in drawn) == sorted(row["name"] for row in expected) != []
        assert all(one.told["recipe"] == wanted.recipe for one in drawn)
    stratum = next(iter(built.manifest["recipes"]["all"]["strata"]))
    drawn = sample(out, Wanted("all", stratum=stratum), 1000)
    texts = texts_of()
    assert {f"{one.told['source']}/{label(texts[one.told['document']])}" for one in drawn} == {stratum}


def test_a_seed_draws_the_same_ones_and_more_of_it_goes_on(built):
    out = str(built.out)
    first = sample(out, Wanted(), 5, seed=3)
    assert sample(out, Wanted(), 12, seed=3)[:5] == first
    assert sample(out, Wanted(), 5, seed=4) != first
    ledger = [row for row in built.ledger() if row["document"]]
    ranks = [little.priority(texts_of()[row["document"]], seed=3) for row in ledger]
    order = sorted(range(len(ledger)), key=lambda n: ranks[n])
    assert [one.told["document"] for one in first] == [ledger[n]["document"] for n in order[:5]]


def test_texts_are_those_that_are_encoded(built):
    out, texts = str(built.out), texts_of()
    for one in sample(out, Wanted(), 1000):
        masked = re.sub(r"ann\.smith@corp\.io", MASK, texts[one.told["document"]])
        assert one.text == masked
    assert {one.text for one in sample(out, Wanted(), 1000, as_read=True)} == set(texts.values())
    assert list(grep(out, "ann.smith", Wanted())) == []
    assert {one.told["name"] for one in grep(out, "ann.smith", Wanted(), as_read=True)} == {"web3", "code3"}


@pytest.mark.parametrize("ignore_case", [False, True])
@pytest.mark.parametrize("pattern", ["^b[aeiou]n", "TEK$", "(ka|ro).*new[0-9]+", "zzz"])
def test_grep_finds_what_a_plain_search_finds(built, pattern, ignore_case):
    plain = re.compile(pattern, re.MULTILINE | (re.IGNORECASE if ignore_case else 0))
    texts = texts_of()
    expected = [row["name"] for row in built.ledger() if plain.search(texts[row["document"]])]
    found = list(grep(str(built.out), pattern, Wanted(outcomes=OUTCOMES), 1000, ignore_case=ignore_case, as_read=True))
    assert [one.told["name"] for one in found] == expected
    for one in found:
        lines = texts[one.told["document"]].split("\n")
        assert [match.line for match in one.matches] == [n for n, line in enumerate(lines, 1) if plain.search(line)]
        assert all(plain.search(match.text[match.start : match.end]) for match in one.matches)


@given(st.text(alphabet="ab\n", max_size=30), st.integers(1, 4))
def test_each_line_with_a_match_is_told_once(text, most):
    found = matches(compiled("ab+"), text, most)
    lines = text.split("\n")
    assert [match.line for match in found] == [n for n, line in enumerate(lines, 1) if "ab" in line][:most]
    assert all(match.text == lines[match.line - 1] for match in found)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Wanted("lnog"), "has no recipe 'lnog', did you mean 'long'?"),
        (Wanted(rung="9M"), "has no rung of all '9M'"),
        (Wanted(source="wbe"), "has no source 'wbe', did you mean 'web'?"),
        (Wanted(stratum="web"), "has no stratum of all 'web'"),
        (Wanted("long", rule="gopher"), "no reason of long has 'gopher' in it. Reasons: lengths.words min 50."),
    ],
)
def test_what_is_not_there_is_named(built, wanted, message):
    with pytest.raises(UserError) as error:
        sample(str(built.out), wanted)
    assert str(error.value).startswith(f"{built.out}: {message}")


def test_without_a_store_there_are_no_texts(built, tmp_path):
    shutil.copytree(built.out, tmp_path / "out", ignore=shutil.ignore_patterns(".store", ".build"))
    with pytest.raises(UserError, match=r"its store is gone, and with it the texts. Build the study again"):
        sample(str(tmp_path / "out"), Wanted())


def run(*arguments):
    return CliRunner().invoke(cli, [str(one) for one in arguments])


def test_on_a_terminal_and_as_lines_of_json(built):
    shown = run("sample", built.out, "--recipe", "long", "--rule", "words", "--count", 2, "--characters", 30)
    assert shown.exit_code == 0, shown.output
    assert shown.output.count("long: dropped: lengths.words min 50") == 2
    assert "more characters" in shown.output
    lines = [json.loads(line) for line in run("sample", built.out, "--json", "--count", 3).output.splitlines()]
    assert [line["outcome"] for line in lines] == ["kept"] * 3
    assert lines[0]["text"] == sample(str(built.out), Wanted(outcomes=("kept",)), 1)[0].text
    found = run("grep", "to .email", built.out, "--outcome", "all")
    assert found.exit_code == 0
    assert f"write to {MASK} today" in found.output
    hostile = run("grep", "2Jend", built.out, "--outcome", "all").output
    assert "\x1b" not in hostile
    assert "�[2Jend" in hostile
    assert run("grep", "-c", "-i", "TO .email", built.out, "--outcome", "all").output == "2\n"
    assert run("grep", "-l", "to .email", built.out, "--outcome", "all").output == "web3\ncode3\n"
    assert json.loads(run("grep", "to .email", built.out, "--json", "--outcome", "all").output.split("\n")[0])[
        "matches"
    ]
    assert run("grep", "--most", 1, "e", built.out).output.endswith("More than 1 documents; --most 0 shows all.\n")
    nothing = run("grep", "no such words", built.out)
    assert (nothing.exit_code, nothing.output) == (1, "")
    wrong = run("grep", "a(", built.out)
    assert (wrong.exit_code, wrong.output.startswith("'a(': is no pattern of RE2: missing ): a(.")) == (2, True)


def test_arguments_that_mean_nothing_are_refused(built):
    with pytest.raises(UserError, match="is no text in UTF-8, as all documents are"):
        next(grep(str(built.out), "\udcff", Wanted()))
    refused = CliRunner().invoke(cli, ["sample", str(built.out), "--seed", str(2**64)])
    assert refused.exit_code == 2
    assert "is not in the range" in refused.output
