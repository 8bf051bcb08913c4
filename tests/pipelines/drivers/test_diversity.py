"""The census through a whole build: hosts, domains, years, licences and labels before and after a recipe."""

from __future__ import annotations

import collections
import math

import little
import pytest

from tokenladder.pipelines.drivers.diversity import MOST
from tokenladder.pipelines.stages import census

HOSTS = ["a.example.org", "a.example.org", "a.example.org", "B.example.COM:80", "c.example.net", "81.2.69.142"]


@pytest.fixture(scope="module")
def rows():
    """Documents of few and of many hosts; those of the first host are short."""
    made = little.corpus(5, 120, words=(20, 60))
    for n, row in enumerate(made):
        host = HOSTS[n % len(HOSTS)] if n % 7 else f"h{n}.example.org"
        row["id"] = f"https://{host}/{n}" if n % 11 else f"page{n}"
        row["date"] = [f"{2001 + n % 4}-05-01T00:00:00Z", "lately", None][n % 3]
        row["text"] = row["text"][:60] if host == HOSTS[0] else row["text"]
    return made


def counted(values):
    counts = collections.Counter(value for value in values if value is not None)
    total = counts.total()
    entropy = -sum(n / total * math.log(n / total) for n in counts.values())
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST]
    return {"documents": total, "values": len(counts), "effective": math.exp(entropy), "most": most}


def host(row):
    return row["id"].split("/")[2].split(":")[0].lower() if "//" in row["id"] else None


def top(row):
    last = (host(row) or "").rpartition(".")[2]
    return None if last.isdigit() or not last else last


def year(row):
    return row["date"][:4] if row["date"] and row["date"][:1] == "2" else None


def assert_described(found, rows):
    for name, of in (("host", host), ("top_level_domain", top), ("year", year)):
        wanted, told = counted(map(of, rows)), found[name]
        assert {key: told[key] for key in ("documents", "values")} == {k: wanted[k] for k in ("documents", "values")}
        assert told["effective"] == pytest.approx(wanted["effective"], rel=1e-4)
        assert [(one["value"], one["documents"]) for one in told["most"]] == wanted["most"]
        sizes = collections.Counter()
        for row in rows:
            sizes[of(row)] += len(row["text"].encode())
        assert [one["bytes"] for one in told["most"]] == [sizes[value] for value, _ in wanted["most"]]


@pytest.fixture(scope="module")
def result(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("diversity")
    sources = {}
    for n in range(3):  # three parts of one source
        little.write_jsonl(folder / "web" / f"{n}.jsonl", rows[n::3])
    sources["web"] = {"format": "jsonl", "path": "web", "part_bytes": 1000}
    long = [{"score": "lengths.words", "min": 15}]
    study = little.write_study(
        folder,
        sources,
        budgets=[20 * little.LENGTH],
        scores={name: {"type": name} for name in ("lengths", "variety", "repository")},
        recipes={"all": {"dedup": False}, "long": {"keep": long, "dedup": False}},
    )
    return little.build(study, folder / "out")


def test_the_pool_and_every_recipe_are_counted(rows, result):
    found = result.manifest["diversity"]
    assert found.keys() == {"pool", "recipes"}
    assert_described(found["pool"]["web"], rows)
    by_id = {little.document_id(row["text"]): row for row in rows}
    for name in ("all", "long"):
        kept = [by_id[row["document"]] for row in result.ledger(name) if row["outcome"] == "kept"]
        assert 0 < len(kept) < len(rows)
        assert_described(found["recipes"][name]["web"], kept)
    assert "licence" not in found["pool"]["web"]
    counts = counted(row["id"].split("/")[2] if "//" in row["id"] else "" for row in rows)
    assert found["pool"]["web"]["repository"]["values"] == counts["values"]


def test_means_of_variety_are_kept(rows, result):
    import pyarrow as pa

    from tokenladder.filters.measures.variety import Variety

    scored = Variety().score(pa.record_batch({"text": [row["text"] for row in rows]}))
    means = result.manifest["diversity"]["pool"]["web"]["means"]
    assert means == {
        f"variety.{name}": pytest.approx(sum(scored[name].to_pylist()) / len(rows), abs=1e-4)
        for name in ("type_token", "entropy", "bigram_entropy")
    }


def test_the_card_tells_what_a_recipe_does_to_whom(result):
    found = result.manifest["diversity"]
    before, after = (one["web"]["host"] for one in (found["pool"], found["recipes"]["long"]))
    first = before["most"][0]
    line = next(line for line in (result.out / "README.md").read_text().split("\n") if "| long | web | hosts |" in line)
    left = {one["value"]: one["documents"] for one in after["most"]}.get(first["value"])
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[3] == f"{before['effective']:,.1f} → {after['effective']:,.1f}"
    assert cells[5] == f"{first['documents'] / before['documents']:.1%}"
    assert cells[6] == ("–" if left is None else f"{left / after['documents']:.1%}")


def test_sums_do_not_depend_on_the_order_of_what_arrives(tmp_path):
    rows = [("", "web", "host", value, n, 10 * n) for value, n in (("b", 2), ("a", 1), ("b", 3), (None, 4))]
    import pyarrow as pa

    from tokenladder.pipelines.files import store

    tables = [
        census._packed(pa.Table.from_pylist([dict(zip(census.COUNTS.names, row, strict=True))], census.COUNTS))
        for row in rows
    ]
    made = []
    for n, order in enumerate((tables, tables[::-1])):
        list(census.sum_counts(3, order, {"folder": str(tmp_path / str(n))}))
        made.append(store.read_table(str(tmp_path / str(n) / "counts" / "0000003.parquet")).to_pylist())
    assert made[0] == made[1]
    assert [(row["value"], row["documents"], row["amount"]) for row in made[0]] == [
        ("a", 1, 10),
        ("b", 5, 50),
        (None, 4, 40),
    ]


def test_a_corpus_of_which_only_means_are_told(tmp_path):
    path = little.write_jsonl(tmp_path / "a.jsonl", little.corpus(4, 40))  # no host, no date, no label
    study = little.write_study(tmp_path, {"a": path}, budgets=[20 * little.LENGTH], scores={"v": {"type": "variety"}})
    told = little.build(study, tmp_path / "out").manifest["diversity"]
    assert {name: list(strata["a"]) for name, strata in (("pool", told["pool"]), *told["recipes"].items())} == {
        "pool": ["means"],
        "all": ["means"],
    }
