"""`import tokenladder as tl`: what a script or a notebook uses."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser

import little
import numpy as np
import pytest

import tokenladder as tl
from tokenladder.data_cards import notebook
from tokenladder.pipelines.drivers import build as builder
from tokenladder.pipelines.files.store import UserError

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"


class Strict(HTMLParser):
    """Collects tags and attributes, and fails where a tag is closed that was not open."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.open, self.said = set(), set(), [], []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.said.append(data)


def shown(value):
    """The text of what a notebook shows, after a look at the tags it is made of."""
    parser = Strict()
    parser.feed(value._repr_html_())
    parser.close()
    assert parser.open == []
    assert parser.tags <= {"div", "strong", "table", "caption", "thead", "tbody", "tr", "th", "td"}
    assert parser.attributes <= {"style", "scope"}
    return parser.said


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api")
    rows = little.corpus(1, 400)
    source = little.write_jsonl(folder / "web.jsonl", rows)
    return little.write_study(folder, {"web": source}, held_out={"tokens": 2 * little.LENGTH})


@pytest.fixture(scope="module")
def built(study):
    """A build without Beam, which the tests of engines hold to be the same."""
    engine, builder.Engine = builder.Engine, little.Eager
    try:
        return tl.build(tl.load(study), study.parent / "built", quiet=True)
    finally:
        builder.Engine = engine


def test_names_are_those_that_the_root_lists():
    assert sorted(tl.__all__) == sorted(tl._HOMES)
    assert set(tl.__all__) <= set(dir(tl))
    for name in tl.__all__:
        assert getattr(tl, name).__name__ == name
    with pytest.raises(AttributeError, match="module 'tokenladder' has no attribute 'biuld'"):
        tl.biuld  # noqa: B018 asking is what fails


def test_importing_the_package_imports_nothing_else():
    script = "import sys, tokenladder; print(*(name for name in sys.modules if name.startswith('tokenladder')))"
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["tokenladder"]


def test_a_study_from_a_text_is_the_study_from_its_file(study):
    loaded = tl.load(study)
    assert tl.load(study.parent / "of-no-file.toml", text=study.read_text()) == loaded
    other = tl.load(study, text=study.read_text().replace("seed = 7", "seed = 8"))
    assert (loaded.settings.seed, other.settings.seed) == (7, 8)


def test_a_study_may_begin_with_a_byte_order_mark(study):
    marked = study.parent / "marked.toml"
    marked.write_text(study.read_text(), encoding="utf-8-sig")
    assert tl.load(marked).settings == tl.load(study).settings
    assert tl.load(study, text=f"\ufeff{study.read_text()}") == tl.load(study)


def test_what_is_no_path_and_no_text_is_told(study):
    with pytest.raises(UserError, match=r"load: b'x.toml' is no path. Give one as text, such as load\('study.toml'\)"):
        tl.load(b"x.toml")
    with pytest.raises(UserError, match="load: 3 is no path"):
        tl.load(3)
    with pytest.raises(UserError, match="load: text is bytes, and must be a string"):
        tl.load(study, text=b"name = 'x'")


def test_mistakes_of_a_text_name_the_file_it_stands_for(study):
    with pytest.raises(UserError, match=r"study\.toml: 1 mistake\n  .*sed"):
        tl.load(study, text=study.read_text() + "sed = 3\n")


def test_a_plan_is_that_of_the_command(study):
    from tokenladder.pipelines.drivers.plan import make_plan

    out = str(study.parent / "planned")
    assert tl.plan(str(study), out).describe() == make_plan(tl.load(study), out).describe()
    shared = tl.plan(study, out, store=study.parent / "shared")
    assert shared.store.root == str(study.parent / "shared")
    assert not (study.parent / "planned").exists()


def test_a_build_opens_its_rungs(built):
    assert built.rungs == [*(f"all-{rung['name']}" for rung in built.manifest["recipes"]["all"]["rungs"]), "held_out"]
    assert len(built.rungs) == 3
    rung = built.open_rung(built.rungs[0])
    assert rung.tokens == 20 * little.LENGTH
    assert np.array_equal(rung[3], tl.open_rung(built.out, built.rungs[0])[3])
    assert repr(built) == f"<build little in {built.out}: recipes all; root hash {built.root_hash[:12]}>"


def test_a_sequence_is_asked_for_by_a_whole_number(built):
    rung = built.open_rung(built.rungs[0])
    assert rung[np.int64(0)].tolist() == rung[0].tolist()
    for wrong in (1.5, "a", None):
        with pytest.raises(TypeError, match=rf"{wrong!r} was asked for. Give the number of a sequence"):
            rung[wrong]


def test_a_plan_says_by_itself_where_its_result_goes(study):
    planned = tl.plan(study, study.parent / "elsewhere")
    with pytest.raises(UserError, match=r"The plan says where its result goes: .*elsewhere\. Leave out and store away"):
        tl.build(planned, "here")


def runs(noise=0.0):
    for recipe, worth in (("raw", 2100), (HOSTILE, 1900)):
        for n, params in enumerate((1e7, 4e7, 2e8, 1e9)):
            for m, tokens in enumerate((1e9, 4e9, 2e10)):
                for seed in (0, 1):
                    loss = 1.8 + 480 / params**0.35 + worth / tokens**0.37
                    wave = 1 + noise * np.sin(7 * n + 3 * m + 5 * seed + worth)
                    yield {"recipe": recipe, "params": params, "tokens": tokens, "seed": seed, "loss": loss * wave}


def test_a_fit_is_that_of_the_law_which_made_the_runs():
    found = tl.fit(list(runs()), bootstraps=0)
    assert found.theta("raw")["B"] == pytest.approx(2100, rel=1e-3)
    assert found.theta(HOSTILE)["B"] == pytest.approx(1900, rel=1e-3)
    expected = 1.8 + 480 / 7e9**0.35 + 2100 / 1.4e11**0.37
    assert found.predict({"params": 7e9, "tokens": 1.4e11}, "raw") == pytest.approx([expected], rel=1e-4)
    assert "raw: chinchilla" in repr(found)
    with pytest.raises(ValueError, match=r"There is no fit for the recipe 'row'\. There are: .*'raw'"):
        found.theta("row")


def test_a_fit_reads_the_file_that_the_command_reads(tmp_path):
    rows = [row for row in runs(0.002) if row["recipe"] == "raw"]
    path = tmp_path / "runs.csv"
    heads = list(rows[0])
    path.write_text("\n".join([",".join(heads), *(",".join(str(row[head]) for head in heads) for row in rows)]))
    assert tl.fit(path, bootstraps=0).theta("raw") == tl.fit(rows, bootstraps=0).theta("raw")


def test_notebooks_show_studies_plans_builds_rungs_and_fits(study, built):
    assert {"study little", "web", "jsonl", "all"} <= set(shown(tl.load(study)))
    assert {"plan of little", "web", "still to read"} <= set(shown(tl.plan(study, study.parent / "x")))
    assert {"little, built", f"root hash: {built.root_hash}"} <= set(shown(built))
    rung = built.open_rung(built.rungs[0])
    assert {f"rung {rung.name}", "web"} <= set(shown(rung))
    said = shown(tl.fit(list(runs(0.002)), bootstraps=20))
    assert "B" in said
    assert any(text.startswith("raw: chinchilla") for text in said)


def test_hostile_text_stays_text():
    assert any(HOSTILE in text for text in shown(tl.fit(list(runs(0.002)), bootstraps=0)))

    class Shown:
        def _repr_html_(self):
            return notebook.page(
                HOSTILE, notebook.table(HOSTILE, [HOSTILE, "n", ""], [[HOSTILE, 1234567, None]]), notebook.line(HOSTILE)
            )

    assert shown(Shown()) == [HOSTILE, HOSTILE, HOSTILE, "n", HOSTILE, "1,234,567", "–", HOSTILE]


def test_numbers_stand_to_the_right_and_text_to_the_left():
    made = notebook.table("", ["name", "path", "tokens"], [["a", "/b", 5], ["1", "7", None]])
    assert made.count("text-align:right") == 3
    assert '<td style="text-align:left">7</td><td style="text-align:right">–</td>' in made
    assert not notebook.table("nothing", ["name"], [])


def test_beams_options_are_a_list(study, tmp_path):
    with pytest.raises(UserError, match=r"beam: give a list, such as \['--direct_num_workers=2'\]"):
        tl.build(study, tmp_path, beam="--direct_num_workers=2")
