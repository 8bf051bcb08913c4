"""What duplicates do to the mixture: the guard, counts over the pool and over rungs, classes, earlier studies."""

from __future__ import annotations

import random
from collections import Counter

import little
import pytest

from tokenladder.pipelines.ask.explain import explain
from tokenladder.pipelines.drivers.pool import BuildError
from tokenladder.pipelines.files.store import UserError, write_json
from tokenladder.pipelines.recount.verify import verify

LENGTH = little.LENGTH


def web_and_code(folder, *, copies=0):
    """Two sources of little documents; `copies` near copies of one document stand in the second."""
    web = little.write_jsonl(folder / "web.jsonl", little.corpus(1, 120, prefix="w", copies=10, neighbours=15))
    code = little.corpus(2, 60, prefix="c", copies=5)
    rng = random.Random(3)  # noqa: S311 no secret
    long = little.text(rng, 400)
    code += [{"id": f"copy{n}", "text": little.near(rng, long, 1)} for n in range(copies)]
    code += [{"id": "shared", "text": little.corpus(1, 120, prefix="w")[0]["text"]}]
    return {"web": web, "code": little.write_jsonl(folder / "code.jsonl", code)}


def test_a_source_that_duplicates_wipe_out_is_shown(tmp_path):
    study = little.write_study(
        tmp_path / "study", web_and_code(tmp_path, copies=100), dedup={"on_wipe_out": {"code": 0.5}}
    )
    with pytest.raises(BuildError) as error:
        little.build(study, tmp_path / "out")
    lines = str(error.value).split("\n")
    assert lines[0].startswith("sources.code: 105 of 166 documents (63.3%) are duplicates, more than dedup.on_wipe_out")
    assert lines[1] == "  100 documents"
    assert lines[2].startswith("    copy0: '")
    assert lines[-1].endswith("if they are, raise dedup.on_wipe_out.")
    assert (
        len([line for line in lines if line.endswith(" documents")]) == 7
    )  # the copies, five pairs, and the text that both sources have
    allowed = little.write_study(
        tmp_path / "study", web_and_code(tmp_path, copies=100), dedup={"on_wipe_out": {"code": 0.64}}
    )
    little.build(allowed, tmp_path / "out")


def test_the_manifest_tells_what_duplicates_cost_each_source(tmp_path):
    settings = {
        "recipes": {"all": {}, "raw": {"dedup": False}},
        "strata": ["source", "kind"],
        "budgets": [20 * LENGTH, 200 * LENGTH],
    }
    made = little.build(
        little.write_study(tmp_path / "study", web_and_code(tmp_path, copies=20), **settings), tmp_path / "out"
    )
    told = made.manifest["duplicates"]
    rows = made.ledger("all")
    for source, count in told["sources"].items():
        mine = [row for row in rows if row["source"] == source]
        assert count["documents"] == len(mine)
        assert count["duplicates"] == sum(count["leaders"].values())
    assert told["sources"]["code"]["duplicates"] >= 24
    duplicates = sum(row["outcome"] == "duplicate" for row in rows)
    assert sum(count["duplicates"] for count in told["sources"].values()) == duplicates
    shared = next(row for row in rows if row["name"] == "shared")
    crossing = [told["sources"][a]["leaders"].get(b, 0) for a, b in (("web", "code"), ("code", "web"))]
    assert sum(crossing) >= 1
    assert shared["document"] is not None
    assert told["labels"]["kind"]["none"]["documents"] == len(rows)


def test_duplicates_in_each_rung_equal_a_plain_count(tmp_path):
    recipes = {"raw": {"dedup": False}, "all": {}}
    settings = {"recipes": recipes, "budgets": [20 * LENGTH, 60 * LENGTH, 200 * LENGTH]}
    sources = web_and_code(tmp_path, copies=30)
    made = little.build(little.write_study(tmp_path / "study", sources, **settings), tmp_path / "out")
    survivor = {row["document"]: row["survivor"] or row["document"] for row in made.ledger("all")}
    names = list(made.rungs("raw"))
    seen = []
    for n, (name, rung) in enumerate(made.rungs("raw").items()):
        inside = [row for row in made.ledger("raw") if row["first_rung"] in names[: n + 1]]
        clusters = Counter(survivor[row["document"]] for row in inside)
        assert rung["documents"] == len(inside), name
        assert rung["duplicates"] == len(inside) - len(clusters)
        seen.append(rung["duplicates"])
    assert seen[-1] > 0
    assert all(rung["duplicates"] == 0 for rung in made.rungs("all").values())
    settings["recipes"] = {"raw": {"dedup": False}}
    alone = little.build(little.write_study(tmp_path / "other", sources, **settings), tmp_path / "other_out")
    assert {rung["duplicates"] for rung in alone.rungs("raw").values()} == {None}  # nothing was compared
    assert alone.manifest["duplicates"] is None


def test_clusters_have_sizes_and_classes_that_recipes_use(tmp_path):
    sources = web_and_code(tmp_path, copies=30)
    settings = {
        "strata": ["source", "cluster.class"],
        "recipes": {
            "all": {"repeat": 40},
            "many": {"repeat": 40, "rehydrate": {"11-100": 5}},
            "alone": {"keep": [{"score": "cluster.size", "max": 1}]},
        },
    }
    made = little.build(little.write_study(tmp_path / "study", sources, **settings), tmp_path / "out")
    weights = {
        name: {s: one["weight"] for s, one in recipe["strata"].items()}
        for name, recipe in made.manifest["recipes"].items()
    }
    ratio = {name: w["code/11-100"] / w["code/1"] for name, w in weights.items() if "code/11-100" in w}
    assert ratio["many"] == pytest.approx(5 * ratio["all"], rel=1e-6)
    assert set(weights["alone"]) == {"code/1", "web/1"}
    reasons = {row["reason"] for row in made.ledger("alone") if row["outcome"] == "dropped"}
    assert reasons == {"cluster.size max 1"}


def test_what_an_earlier_study_trains_on_is_a_duplicate(tmp_path):
    sources = web_and_code(tmp_path)
    first = little.write_study(tmp_path / "first", {"web": sources["web"]}, budgets=[60 * LENGTH])
    earlier = little.build(first, tmp_path / "earlier")
    second = little.write_study(tmp_path / "second", sources, dedup={"against": [str(tmp_path / "earlier")]})
    made = little.build(second, tmp_path / "out")
    kept = {row["document"] for row in earlier.ledger() if row["outcome"] == "kept"}
    over = {row["document"] for row in earlier.ledger() if row["outcome"] == "over_budget"}
    now = made.ledger()
    matched = [row for row in now if row["document"] in kept]
    assert len(matched) >= len(kept)
    assert {(row["outcome"], row["reason"]) for row in matched} == {("duplicate", "kept by an earlier study")}
    assert all(one.holds for one in verify(str(tmp_path / "out")))
    fate = explain(str(tmp_path / "out"), matched[0]["document"])[0].fates["all"]
    assert fate == f"duplicate of {matched[0]['survivor']}, kept by an earlier study"
    assert {row["survivor"] for row in matched} <= kept
    assert any(row["document"] in over and row["outcome"] in {"kept", "over_budget"} for row in now)
    assert made.manifest["dedup"]["against"] == [earlier.manifest["root_hash"]]
    assert made.manifest["duplicates"]["sources"]["web"]["earlier"] >= len(kept)
    assert str(tmp_path) not in (tmp_path / "out" / "manifest.json").read_text()
    made.manifest["dedup"]["against"] = []
    write_json(str(tmp_path / "out" / "manifest.json"), made.manifest)
    found = {one.promise: one.found for one in verify(str(tmp_path / "out"))}
    assert "tells of earlier studies, but the build was against none" in found["Accounted (all)"]


def test_earlier_studies_that_cannot_be_compared_with(tmp_path):
    sources = web_and_code(tmp_path)
    little.build(
        little.write_study(tmp_path / "first", sources, budgets=[20 * LENGTH], dedup={"bands": 10}),
        tmp_path / "earlier",
    )
    (tmp_path / "empty").mkdir()
    broken = tmp_path / "broken" / "manifest.json"
    broken.parent.mkdir()
    broken.write_text("{}")
    against = [str(tmp_path / name) for name in ("earlier", "empty", "broken")]
    study = little.write_study(tmp_path / "second", sources, dedup={"against": against})
    with pytest.raises(UserError) as error:
        little.build(study, tmp_path / "out")
    first, second, third = str(error.value).split("\n")[1:]
    assert "dedup.against[0]" in first
    assert "its signatures cannot be compared with: it made them with other parameters" in first
    assert "'bands': 10" in first
    assert "'containment': None" in first
    assert second.endswith("there is no such file. Name the folder of a finished build")
    assert "is no manifest of a build that can be compared with" in third
    (tmp_path / "earlier" / ".store").rename(tmp_path / "moved")
    study = little.write_study(tmp_path / "third", sources, dedup={"against": against[:1], "bands": 10})
    with pytest.raises(UserError, match=r"its store is not there: neither .* holds its signatures"):
        little.build(study, tmp_path / "out")
    little.build(study, tmp_path / "out", store=tmp_path / "moved")


def words_of(one, n=5):
    """The shingles of a little text: all of its words are plain letters."""
    words = one.lower().split()
    return {tuple(words[i : i + n]) for i in range(max(1, len(words) - n + 1))}


def test_with_exact_proof_every_removal_is_as_similar_as_asked(tmp_path):
    rng = random.Random(5)  # noqa: S311 no secret
    texts = [little.text(rng, 150) for _ in range(40)]
    texts += [little.near(rng, texts[n % 40], 1 + n % 11) for n in range(160)]  # similarities from .4 to .95
    rows = [{"id": f"d{n}", "text": one} for n, one in enumerate(texts)]
    source = {"web": little.write_jsonl(tmp_path / "web.jsonl", rows)}
    made = {}
    for proof in ("estimate", "exact"):
        dedup = {"proof": proof, "threshold": 0.7, "bands": 28, "rows": 4, "on_wipe_out": 1.0}
        study = little.write_study(tmp_path / proof, source, dedup=dedup)
        made[proof] = little.build(study, tmp_path / f"{proof}_out").ledger()
    by_id = {little.document_id(one): words_of(one) for one in texts}

    def below(rows):
        pairs = [(by_id[row["document"]], by_id[row["survivor"]]) for row in rows if row["outcome"] == "duplicate"]
        return sum(len(a & b) / len(a | b) < 0.49 for a, b in pairs), len(pairs)  # both like their leader: .7 × .7

    assert below(made["exact"])[0] == 0
    assert below(made["exact"])[1] >= 60
    assert {row["document"] for row in made["exact"]} == set(by_id)


def test_a_page_in_its_print_version_is_a_duplicate_where_containment_is_asked_for(tmp_path):
    rng = random.Random(6)  # noqa: S311 no secret
    pages = [little.text(rng, 150) for _ in range(30)]
    whole = [f"{page}\n{little.text(rng, 200)}" for page in pages[:10]]
    rows = [{"id": f"page{n}", "text": one} for n, one in enumerate(pages)]
    rows += [{"id": f"print{n}", "text": one} for n, one in enumerate(whole)]
    source = {"web": little.write_jsonl(tmp_path / "web.jsonl", rows)}
    plain = little.build(little.write_study(tmp_path / "plain", source), tmp_path / "plain_out")
    assert "duplicate" not in {outcome for outcome, _ in plain.bins().values()}
    study = little.write_study(
        tmp_path / "asked",
        source,
        dedup={"containment": 0.9},
        recipes={"all": {}, "short": {"keep": [{"score": "bytes", "max": 1400}]}},
    )
    made = little.build(study, tmp_path / "out")
    lost = {row["name"]: row["survivor"] for row in made.ledger() if row["outcome"] == "duplicate"}
    assert lost == {f"page{n}": little.document_id(whole[n]) for n in range(10)}
    assert made.manifest["duplicates"]["sources"]["web"]["contained"] == 10
    dropped = {row["name"] for row in made.ledger("short") if row["outcome"] == "dropped"}
    assert {f"print{n}" for n in range(10)} <= dropped
    assert not any(row["outcome"] == "duplicate" for row in made.ledger("short"))  # what contains them is not kept
