"""A small study is built once; then each test spoils one thing in a copy of the result."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from tokenladder.pipelines.commands.cli import cli
from tokenladder.pipelines.files import store
from tokenladder.pipelines.recount.verify import verify

STUDY = """
name = "small"
seed = 3
budgets = ["4K", "8K", "16K"]
sequence_length = 64
shard_tokens = "3K"
held_out = { tokens = "1K" }
tokenizer = { type = "bytes" }

[sources.web]
format = "jsonl"
path = "web.jsonl"

[sources.code]
format = "jsonl"
path = "code.jsonl"

[recipes.plain]
weights = { web = 0.7, code = 0.3 }

[recipes.again]
weights = { web = 0.5, code = 0.5 }
keep = [{ score = "bytes", min = 100 }]
repeat = 3
"""


def texts(draw: random.Random, documents: int) -> list[str]:
    words = [f"word{n}" for n in range(900)]
    out = [" ".join(draw.choices(words, k=draw.randint(8, 40))) for _ in range(documents)]
    out[5:8] = [out[4] + " twice", out[4], out[4] + " thrice"]  # near duplicates and an exact one
    return out


def lines(documents: list[str]) -> str:
    return "".join(json.dumps({"id": f"d{n}", "text": text}) + "\n" for n, text in enumerate(documents))


@pytest.fixture(scope="session")
def result(tmp_path_factory):
    from tokenladder.pipelines.drivers.build import build
    from tokenladder.pipelines.drivers.plan import make_plan
    from tokenladder.pipelines.study.file import load
    from tokenladder.pipelines.watch.progress import Reporter

    folder = tmp_path_factory.mktemp("verify")
    draw = random.Random(1)  # noqa: S311 texts, not secrets
    (folder / "web.jsonl").write_text(lines(texts(draw, 140)) + "{broken\n", encoding="utf-8")
    (folder / "code.jsonl").write_text(lines(texts(draw, 30)), encoding="utf-8")
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    build(make_plan(load(str(folder / "study.toml")), str(folder / "out"), str(folder / "store")), Reporter(quiet=True))
    return folder / "out"


@pytest.fixture
def copy(result, tmp_path):
    return Path(shutil.copytree(result, tmp_path / "copy"))


def broken(out: Path) -> dict[str, str]:
    """What does not hold, and what is said of it."""
    return {check.promise: check.found for check in verify(str(out)) if not check.holds}


def edit(out: Path, change) -> None:
    """Change the manifest, and give it the root hash that goes with it: a fault that no hash shows."""
    path = out / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    sign(out)


def sign(out: Path) -> None:
    path = out / "manifest.json"
    manifest = json.loads(path.read_text())
    recipes = manifest["recipes"].values()
    every = [*manifest["held_out"]["shards"], *(one for recipe in recipes for one in recipe["ledger"])]
    every += [shard for recipe in recipes for rung in recipe["rungs"] for shard in rung["shards"]]
    for one in every:
        data = (out / one["path"]).read_bytes()
        one["sha256"] = hashlib.sha256(data).hexdigest()
        if "bytes" in one:
            one["bytes"] = len(data)
    hashes = {
        name: [[s["sha256"] for s in one["rungs"][-1]["shards"]], [e["sha256"] for e in one["ledger"]], one["counts"]]
        for name, one in manifest["recipes"].items()
    }
    held = [shard["sha256"] for shard in manifest["held_out"]["shards"]]
    manifest["root_hash"] = store.fingerprint([manifest["counts"], held, hashes])
    path.write_text(json.dumps(manifest))


def rewrite(out: Path, name: str, change) -> None:
    """Change a table, and sign the manifest again."""
    table = pq.read_table(out / name)
    pq.write_table(change(table), out / name)
    sign(out)


def replaced(table: pa.Table, column: str, row: int, value: object) -> pa.Table:
    values = table.column(column).to_pylist()
    values[row] = value
    at = table.schema.get_field_index(column)
    return table.set_column(at, table.schema.field(column), pa.array(values, table.schema.field(column).type))


def ledger_row(out: Path, recipe: str, outcome: str, more=bool) -> tuple[str, int, dict]:
    for path in sorted((out / "ledger" / recipe).iterdir()):
        for at, row in enumerate(pq.read_table(path).to_pylist()):
            if row["outcome"] == outcome and more(row):
                return f"ledger/{recipe}/{path.name}", at, row
    raise AssertionError(outcome)


def held_id(out: Path) -> bytes:
    return pq.read_table(out / "held_out/documents/00000.parquet").column("document")[0].as_py()


SHARD, DOCUMENTS = "shards/plain/00001.parquet", "documents/plain/00001.parquet"


def test_everything_holds_of_a_result_as_built(result):
    checks = verify(str(result))
    assert [check for check in checks if not check.holds] == []
    labels = ["Exact", "Nested", "Mixed", "Documents", "Clean", "Accounted"]
    recipes = [f"{label} ({recipe})" for recipe in ("again", "plain") for label in labels]
    held_out = [f"{label} (held out)" for label in ("Exact", "Documents", "Clean")]
    assert [check.promise for check in checks] == ["Manifest", "Files", *held_out, *recipes]
    found = {check.promise: check.found for check in checks}
    assert found["Exact (plain)"] == "250 sequences of 64 tokens in 7 shards; 3 budgets to half a sequence"
    assert found["Mixed (plain)"] == "2 strata, in every prefix within 0.50 of a sequence"
    manifest = json.loads((result / "manifest.json").read_text())
    records = sum(source["records"] for source in manifest["counts"].values())
    assert found["Accounted (plain)"].startswith(f"{records} records, each in one bin; ")
    assert manifest["recipes"]["again"]["rungs"][-1]["repeated_tokens"] > 0  # so repeats were counted, too


def test_signing_alone_breaks_nothing(copy):
    sign(copy)
    assert broken(copy) == {}


def test_a_flipped_byte_is_named_with_its_file(copy):
    data = bytearray((copy / SHARD).read_bytes())
    data[len(data) // 3] ^= 1
    (copy / SHARD).write_bytes(data)
    assert broken(copy)["Files"] == f"{SHARD}: its SHA-256 is not the manifest's"


@pytest.mark.parametrize("name", [SHARD, DOCUMENTS, "ledger/plain/00000.parquet"])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    found = broken(copy)
    assert found["Files"] == f"{name}: is missing"
    label = "Accounted (plain)" if name.startswith("ledger") else "Documents (plain)"
    assert label in found
    assert not any("again" in promise for promise in found)


def test_a_cut_documents_table_is_named(copy):
    (copy / DOCUMENTS).write_bytes((copy / DOCUMENTS).read_bytes()[:100])
    assert f"{DOCUMENTS}: is not Parquet" in broken(copy)["Files"]


def test_a_file_that_no_manifest_lists_is_named(copy):
    shutil.copy(copy / SHARD, copy / "shards/plain/00099.parquet")
    shutil.copy(copy / SHARD, copy / "shards/plain/.tmp-host-1-0-x")  # of a build that was killed: no file yet
    assert broken(copy) == {"Files": "shards/plain/00099.parquet: no manifest lists it"}


def test_a_dropped_row_is_counted(copy):
    rewrite(copy, SHARD, lambda table: table.slice(1))
    found = broken(copy)
    assert found["Exact (plain)"].startswith(f"{SHARD}: holds 30 sequences of 64, not 31 sequences, 1,984 tokens")
    assert "Files" not in found


def test_swapped_shards_break_documents(copy):
    def swap(manifest):
        for rung in manifest["recipes"]["plain"]["rungs"]:
            if len(rung["shards"]) > 1:
                a, b = rung["shards"][:2]
                a["path"], b["path"] = b["path"], a["path"]

    edit(copy, swap)
    assert "Documents (plain)" in broken(copy)


def test_a_rung_that_begins_otherwise_is_not_nested(copy):
    edit(copy, lambda manifest: manifest["recipes"]["plain"]["rungs"][1]["shards"].reverse())
    expected = "8K does not begin with the shards of 4K; 16K does not begin with the shards of 8K"
    assert broken(copy) == {"Nested (plain)": expected}


def test_a_rung_that_ends_inside_a_shard_is_not_nested(copy):
    def change(manifest):
        manifest["recipes"]["plain"]["rungs"][0] |= {"sequences": 61, "tokens": 61 * 64, "requested_tokens": 61 * 64}

    edit(copy, change)
    assert broken(copy)["Nested (plain)"] == "4K: no shard ends after its 61 sequences"


def test_another_budget_is_not_exact(copy):
    edit(copy, lambda manifest: manifest["recipes"]["plain"]["rungs"][2].update(requested_tokens=16_033))
    assert broken(copy) == {"Exact (plain)": "16K: 16,000 tokens are not the nearest to 16,033"}


def test_a_rung_that_does_not_tell_its_strata_is_found(copy):
    edit(copy, lambda manifest: manifest["recipes"]["plain"]["rungs"][1].update(strata=None))
    assert broken(copy) == {"Exact (plain)": "8K: what it holds of each stratum is not told"}


@pytest.mark.parametrize("key", ["unique_tokens", "tokens", "sequences"])
def test_another_number_of_a_stratum_is_not_exact(copy, key):
    def change(manifest):
        manifest["recipes"]["again"]["rungs"][2]["strata"]["code"][key] -= 1

    edit(copy, change)
    assert list(broken(copy)) == ["Exact (again)"]


def test_sequences_moved_to_another_stratum_are_not_mixed(copy):
    def move(table):
        rows = [at for at, name in enumerate(table.column("stratum").to_pylist()) if name == "code"][:2]
        return replaced(replaced(table, "stratum", rows[0], "web"), "stratum", rows[1], "web")

    rewrite(copy, SHARD, move)
    found = broken(copy)
    assert found["Mixed (plain)"].startswith("after ")
    assert "Exact (plain)" in found
    assert "goes on without what precedes" in found["Documents (plain)"]


def test_a_mixture_by_other_weights_is_not_mixed(copy):
    def change(manifest):
        weights = manifest["recipes"]["plain"]["strata"]
        weights["web"]["weight"] += 1 << 26
        weights["code"]["weight"] -= 1 << 26

    edit(copy, change)
    assert list(broken(copy)) == ["Mixed (plain)"]


def change_token(value: int, of: str):
    def change(table):
        rows, starts = table.column("input_ids").to_pylist(), table.column("document_starts").to_pylist()
        at = next(n for n, one in enumerate(starts) if one and one[0] > 0)
        rows[at][starts[at][0] - 1 if of == "end" else starts[at][0]] = value
        return table.set_column(0, table.schema.field(0), pa.array(rows, table.schema.field(0).type))

    return change


def test_an_id_outside_the_vocabulary_is_not_exact(copy):
    rewrite(copy, SHARD, change_token(257, "start"))
    assert broken(copy) == {"Exact (plain)": f"{SHARD}: id 257 is not below 257"}


def test_a_document_must_end_with_its_token(copy):
    rewrite(copy, SHARD, change_token(32, "end"))
    found = broken(copy)
    assert list(found) == ["Documents (plain)"]
    assert "ends without the end-of-document token" in found["Documents (plain)"]


def test_document_starts_must_be_those_of_the_table(copy):
    rewrite(copy, SHARD, lambda table: replaced(table, "document_starts", 0, [1, 2, 3]))
    assert broken(copy) == {"Documents (plain)": f"{SHARD}: document_starts are not those of {DOCUMENTS}"}


@pytest.mark.parametrize("column", ["position", "length", "sequence"])
def test_the_documents_table_must_cover_every_position(copy, column):
    rewrite(copy, DOCUMENTS, lambda table: replaced(table, column, 4, table.column(column)[4].as_py() + 1))
    assert broken(copy)["Documents (plain)"].startswith(f"{DOCUMENTS}: does not cover every position once")


def test_offsets_must_go_on(copy):
    offsets = pq.read_table(copy / DOCUMENTS).column("offset").to_pylist()
    at = next(n for n, offset in enumerate(offsets) if offset and n)
    rewrite(copy, DOCUMENTS, lambda table: replaced(table, "offset", at, offsets[at] + 1))
    assert "goes on without what precedes" in broken(copy)["Documents (plain)"]


def rename(out: Path, recipe: str, old: bytes, new: bytes) -> None:
    for path in sorted((out / "documents" / recipe).iterdir()):
        table = pq.read_table(path)
        ids = [new if one == old else one for one in table.column("document").to_pylist()]
        pq.write_table(table.set_column(2, table.schema.field(2), pa.array(ids, pa.binary(16))), path)


def test_a_document_that_stands_twice_is_not_clean(copy):
    ids = pq.read_table(copy / DOCUMENTS).filter(pc.field("offset") == 0).column("document").to_pylist()
    rename(copy, "plain", ids[1], ids[3])
    found = broken(copy)
    assert found["Clean (plain)"] == f"document {ids[3].hex()} stands 2 times in one pass"
    assert f"document {ids[1].hex()} is kept, but not in the stream" in found["Accounted (plain)"]


def test_a_held_out_document_in_the_stream_is_not_clean(copy):
    ids = pq.read_table(copy / DOCUMENTS).filter(pc.field("offset") == 0).column("document").to_pylist()
    rename(copy, "plain", ids[1], held_id(copy))
    found = broken(copy)
    assert found["Clean (plain)"] == f"document {held_id(copy).hex()} is held out, but in the stream"
    assert "Documents (plain)" not in found


def test_a_second_pass_in_another_order_is_not_clean(copy):
    tables = {path: pq.read_table(path) for path in sorted((copy / "documents/again").iterdir())}
    shards = [pq.read_table(path) for path in sorted((copy / "shards/again").iterdir())]
    strata = pa.concat_tables(shards).column("stratum").to_pylist()
    pieces = [(path, row) for path, table in tables.items() for row in table.to_pylist()]
    code = [(path, row) for path, row in pieces if strata[row["sequence"]] == "code"]
    began = [row["document"] for _, row in code if row["offset"] == 0]
    period = began[1:].index(began[0]) + 1
    assert began[period : 2 * period] == began[: len(began) - period]
    # the second document of the second pass takes the name of the third
    old, new = began[1], began[2]
    again = [n for n, (_, row) in enumerate(code) if row["document"] == old and row["offset"] == 0][1]
    sequence = code[again][1]["sequence"]
    for path, table in tables.items():
        rows = [
            new if one == old and at >= sequence and strata[at] == "code" else one
            for one, at in zip(table["document"].to_pylist(), table["sequence"].to_pylist(), strict=True)
        ]
        pq.write_table(table.set_column(2, table.schema.field(2), pa.array(rows, pa.binary(16))), path)
    found = broken(copy)
    assert found.pop("Files").startswith("documents/again/00000.parquet: its SHA-256 is not the manifest's")
    assert found == {"Clean (again)": f"sequence {sequence:,}: a new pass of code has another order"}


def test_another_outcome_breaks_the_sums(copy):
    name, at, _ = ledger_row(copy, "plain", "over_budget")
    rewrite(copy, name, lambda table: replaced(table, "outcome", at, "dropped"))
    found = broken(copy)
    assert list(found) == ["Accounted (plain)"]
    assert "counts." in found["Accounted (plain)"]
    assert "the manifest says" in found["Accounted (plain)"]


def test_an_unknown_outcome_is_named(copy):
    name, at, _ = ledger_row(copy, "plain", "over_budget")
    rewrite(copy, name, lambda table: replaced(table, "outcome", at, "lost"))
    assert broken(copy) == {"Accounted (plain)": f"{name}: 'lost' is no outcome"}


def test_other_bytes_break_the_sums(copy):
    name, at, row = ledger_row(copy, "plain", "kept")
    rewrite(copy, name, lambda table: replaced(table, "bytes", at, row["bytes"] + 1))
    assert list(broken(copy)) == ["Accounted (plain)"]


def test_a_kept_row_must_have_its_tokens(copy):
    name, at, row = ledger_row(copy, "plain", "kept", lambda row: row["first_rung"] == "4K")
    rewrite(copy, name, lambda table: replaced(table, "tokens", at, row["tokens"] + 1))
    expected = f"document {row['document']} has {row['tokens']} tokens in the stream, unlike its row"
    assert expected in broken(copy)["Accounted (plain)"]


def test_a_kept_row_must_have_its_first_rung(copy):
    name, at, row = ledger_row(copy, "plain", "kept", lambda row: row["first_rung"] == "8K")
    rewrite(copy, name, lambda table: replaced(table, "first_rung", at, "16K"))
    assert broken(copy) == {"Accounted (plain)": f"document {row['document']} begins in rung 8K, unlike its row"}


def test_a_row_that_is_not_kept_stands_in_no_rung(copy):
    name, at, _ = ledger_row(copy, "plain", "over_budget")
    rewrite(copy, name, lambda table: replaced(table, "first_rung", at, "16K"))
    assert broken(copy) == {"Accounted (plain)": f"{name}: tokens and first_rung are not those of the kept rows"}


def test_a_survivor_must_be_alive(copy):
    name, at, _ = ledger_row(copy, "plain", "duplicate")
    rewrite(copy, name, lambda table: replaced(table, "survivor", at, "0" * 32))
    expected = f"document {'0' * 32} is a survivor, but neither kept, over the budget nor rejected"
    assert broken(copy) == {"Accounted (plain)": expected}


def test_held_out_documents_rows_must_say_so(copy):
    name, at, row = ledger_row(copy, "plain", "held_out", lambda row: row["reason"] == "held out")
    rewrite(copy, name, lambda table: replaced(table, "outcome", at, "over_budget"))
    found = broken(copy)
    assert found["Clean (plain)"] == f"document {row['document']} is held out, but its row says otherwise"
    assert "Accounted (plain)" in found


def test_a_row_cannot_name_what_is_not_held_out(copy):
    name, at, _ = ledger_row(copy, "plain", "held_out")
    rewrite(copy, name, lambda table: replaced(table, "survivor", at, "f" * 32))
    expected = f"document {'f' * 32} is no held-out document, but rows are held out for it"
    assert broken(copy) == {"Accounted (plain)": expected}


def test_a_row_from_another_source_is_noticed(copy):
    rewrite(copy, "ledger/plain/00000.parquet", lambda table: replaced(table, "source", 3, "code"))
    assert "ledger/plain/00000.parquet: is not 141 rows of web" in broken(copy)["Accounted (plain)"]


def test_other_counts_break_the_root_hash(copy):
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["recipes"]["plain"]["counts"]["web"]["outcomes"]["kept"]["records"] += 1
    path.write_text(json.dumps(manifest))
    found = broken(copy)
    assert list(found) == ["Manifest", "Accounted (plain)"]
    assert found["Manifest"].startswith("the root hash is ")


def test_counts_of_what_was_read_are_counted_again(copy):
    edit(copy, lambda manifest: manifest["counts"]["web"].update(documents=7))
    assert list(broken(copy)) == ["Accounted (again)", "Accounted (plain)"]


def test_the_held_out_set_is_checked_alike(copy):
    edit(copy, lambda manifest: manifest["held_out"].update(requested_tokens=2000))
    assert broken(copy) == {"Exact (held out)": "held out: 1,024 tokens are not the nearest to 2,000"}


def test_binary_sequences_are_read_alike(copy):
    def binary(table):
        rows = [np.array(ids, "<u2").tobytes() for ids in table.column("input_ids").to_pylist()]
        return table.set_column(0, "input_ids", pa.array(rows, pa.binary(128)))

    for path in sorted((copy / "shards/plain").iterdir()):
        rewrite(copy, f"shards/plain/{path.name}", binary)
    assert broken(copy) == {}


def test_sequences_of_another_length_are_not_exact(copy):
    def shorter(table):
        rows = [ids[:63] for ids in table.column("input_ids").to_pylist()]
        return table.set_column(0, "input_ids", pa.array(rows, pa.list_(pa.uint16())))

    rewrite(copy, SHARD, shorter)
    assert broken(copy)["Exact (plain)"] == f"{SHARD}: not every sequence has 64 ids of type uint16"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda m: m.update(sequence_length="64"), "manifest.json: sequence_length: Input should be a valid integer"),
        (lambda m: m["tokenizer"].pop("dtype"), "manifest.json: tokenizer.dtype: Field required"),
        (lambda m: m["recipes"]["plain"]["ledger"][0].update(path="../up"), "'../up' is not a path inside the result"),
    ],
)  # fmt: skip
def test_a_manifest_of_another_form_is_named(copy, change, found):
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    [check] = verify(str(copy))
    assert (check.promise, check.holds) == ("Manifest", False)
    assert found in check.found


def test_a_cut_manifest_is_named(copy):
    path = copy / "manifest.json"
    path.write_text(path.read_text()[:500])
    [check] = verify(str(copy))
    assert check.found.startswith("manifest.json: cannot be read: ")


def test_the_command_fails_where_anything_does_not_hold(result, copy):
    assert CliRunner().invoke(cli, ["verify", str(result)]).exit_code == 0
    (copy / SHARD).unlink()
    failed = CliRunner().invoke(cli, ["verify", str(copy)])
    assert failed.exit_code == 1
    assert "BROKEN" in failed.output


@pytest.mark.parametrize("content", [None, "[]", '{"name": "other"}'])
def test_a_folder_without_a_result_is_the_users_mistake(tmp_path, content):
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    result = CliRunner().invoke(cli, ["verify", str(tmp_path)])
    assert result.exit_code == 2
    assert "Give the folder of a finished build." in result.output


def test_damage_anywhere_is_a_check_that_does_not_hold(result, copy):
    draw = random.Random(5)  # noqa: S311 places, not secrets
    names = [str(path.relative_to(result)) for path in sorted(result.rglob("*.parquet")) if ".build" not in path.parts]
    for _ in range(40):
        name = draw.choice(names)
        data = bytearray((result / name).read_bytes())
        for _ in range(draw.choice([1, 20])):
            data[draw.randrange(len(data))] = draw.randrange(256)
        if draw.random() < 0.3:
            del data[draw.randrange(len(data)) :]
        (copy / name).write_bytes(data)
        if bytes(data) != (result / name).read_bytes() and "documents/" not in name:  # their bytes have no hash
            assert name in broken(copy)["Files"]
        else:
            verify(str(copy))
        shutil.copy(result / name, copy / name)


def test_checkpoints_are_those_of_the_shards(result, copy):
    recipe = json.loads((result / "manifest.json").read_text())["recipes"]["plain"]
    shards = [shard["sequences"] for shard in recipe["rungs"][-1]["shards"]]
    assert [sum(one) for one in recipe["checkpoints"]] == [sum(shards[: n + 1]) for n in range(len(shards) - 1)]
    edit(copy, lambda manifest: manifest["recipes"]["plain"]["checkpoints"][1].reverse())
    found = recipe["checkpoints"][1]
    said = f"the checkpoint of {sum(found)} sequences gives the strata {found[::-1]}, the shards {found}"
    assert broken(copy) == {"Mixed (plain)": said}
