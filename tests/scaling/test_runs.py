from __future__ import annotations

import csv
import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.pipelines.files.store import UserError
from tokenladder.scaling.runs.names import plain
from tokenladder.scaling.runs.table import as_number, make_table, read_runs, rows_of

import published

RUN = {"recipe": "clean", "rung": "100M", "params": 7e7, "tokens": 1e8, "seed": 1, "loss": 3.5}


def write(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def table(*rows, chosen=None, unit=None):
    return make_table([{**RUN, **row} for row in rows], "runs.csv", chosen or {}, unit)


def refused(*rows, chosen=None, unit=None):
    with pytest.raises(UserError) as caught:
        table(*rows, chosen=chosen, unit=unit)
    return str(caught.value)


def same(left, right):
    assert set(left) == set(right)
    for name in left:
        np.testing.assert_array_equal(left[name], right[name])


def test_published_runs_are_read_as_they_are():
    read = read_runs(str(published.DATA / "chinchilla.csv"))
    runs = published.table("chinchilla.csv")
    assert len(read) == 245
    np.testing.assert_array_equal(read.columns["loss"], runs["loss"])
    np.testing.assert_array_equal(read.columns["tokens"], runs["flops"] / (6 * runs["params"]))
    assert read.notes == ("tokens: flops / (6 × params)",)
    constrained = read_runs(str(published.DATA / "data_constrained.csv"))
    assert len(constrained) == 182
    columns = constrained.columns
    np.testing.assert_array_equal(columns["epochs"], columns["tokens"] / columns["unique_tokens"])


def test_every_format_gives_the_same_table(tmp_path):
    rows = [RUN, {**RUN, "seed": 2, "loss": 3.25}, {**RUN, "recipe": "raw", "loss": 3.75}]
    expected = read_runs(write(tmp_path / "runs.csv", rows)).columns
    (tmp_path / "a.json").write_text(json.dumps(rows))
    (tmp_path / "b.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    (tmp_path / "c.json").write_text(json.dumps({name: [row[name] for row in rows] for name in RUN}))
    (tmp_path / "d.json").write_text(json.dumps({name: {i: row[name] for i, row in enumerate(rows)} for name in RUN}))
    (tmp_path / "e.tsv").write_text("\n".join("\t".join(map(str, line)) for line in [RUN, *(r.values() for r in rows)]))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "f.parquet")
    for path in sorted(tmp_path.glob("[a-f].*")):
        same(read_runs(str(path)).columns, expected)
    same(read_runs(str(tmp_path)).columns, expected)


def test_recipes_split_the_table():
    runs = table({}, {"recipe": "raw", "loss": 4.0}, {"seed": 2})
    assert runs.recipes() == ["clean", "raw"]
    np.testing.assert_array_equal(runs.of_recipe("raw")["loss"], [4.0])
    np.testing.assert_array_equal(runs.of_recipe("clean")["seed"], [1, 2])


def test_a_table_without_recipes_is_one():
    row = {name: value for name, value in RUN.items() if name != "recipe"}
    runs = make_table([row], "runs.csv", {})
    assert runs.recipes() == [""]
    np.testing.assert_array_equal(runs.of_recipe("")["loss"], [3.5])


def test_an_mlflow_export_is_understood(tmp_path):
    # The columns of `mlflow experiments csv`: run_id, experiment_id, status, artifact_uri, times, then prefixed names.
    rows = [
        {
            "run_id": f"a{n}",
            "experiment_id": "7",
            "status": status,
            "artifact_uri": "mlflow-artifacts:/7",
            "start_time": 1 + n,
            "end_time": 2 + n,
            "metrics.val_loss": 3.0 + n,
            "metrics.unused": "",
            "params.n_params": "70M",
            "params.train_tokens": "1.5e9",
            "params.seed": n,
            "tags.mlflow.runName": f"clean-{n}",
        }
        for n, status in enumerate(["FINISHED", "FINISHED", "RUNNING"])
    ]
    runs = read_runs(write(tmp_path / "mlflow.csv", rows))
    np.testing.assert_array_equal(runs.columns["loss"], [3.0, 4.0])
    np.testing.assert_array_equal(runs.columns["params"], [7e7, 7e7])
    np.testing.assert_array_equal(runs.columns["tokens"], [1.5e9, 1.5e9])
    assert runs.columns["run"].tolist() == ["clean-0", "clean-1"]
    assert runs.notes[0] == "1 of 3 runs left out: not finished (column 'status')"


def test_a_wandb_export_is_understood(tmp_path):
    rows = [
        {"Name": "clean-1", "State": "finished", "Runtime": 5, "dataset": "clean", "num_params": 7e7, "val/loss": 3.5},
        {"Name": "clean-2", "State": "crashed", "Runtime": 6, "dataset": "clean", "num_params": 7e7, "val/loss": 9.5},
    ]
    runs = read_runs(write(tmp_path / "wandb.csv", [{**row, "train_tokens": 1e9} for row in rows]))
    np.testing.assert_array_equal(runs.columns["loss"], [3.5])
    assert runs.recipes() == ["clean"]
    nested = [
        {
            "name": row["Name"],
            "state": row["State"],
            "config": {"num_params": row["num_params"], "train_tokens": 1e9, "data": {"name": "x"}},
            "summary": {"val/loss": row["val/loss"]},
        }
        for row in rows
    ]
    (tmp_path / "wandb.json").write_text(json.dumps(nested))
    np.testing.assert_array_equal(read_runs(str(tmp_path / "wandb.json")).columns["loss"], [3.5])


def test_no_finished_run():
    assert refused({"state": "running"}) == "No run is finished: the column 'state' says 'running' of the first."


def test_derived_columns():
    runs = table({"params_embedding": 2e7, "epochs": 4.0, "steps": 100.0}).columns
    assert runs["params_non_embedding"].tolist() == [5e7]
    assert runs["unique_tokens"].tolist() == [2.5e7]
    assert runs["flops"].tolist() == [6 * 7e7 * 1e8]
    only_steps = {**RUN, "steps": 100, "batch_tokens": 1e6}
    del only_steps["tokens"]
    assert make_table([only_steps], "x", {}).columns["tokens"].tolist() == [1e8]
    inner = {**RUN, "params_non_embedding": 5e7}
    del inner["params"]
    made = make_table([inner], "x", {})
    assert made.columns["params"].tolist() == [5e7]
    assert made.notes[0] == "params: only counts without embeddings are known, and are used as they are"
    both = make_table([{**inner, "params_embedding": 2e7}], "x", {})
    assert both.columns["params"].tolist() == [7e7]
    total = table({"params_non_embedding": 5e7}).columns
    assert total["params_embedding"].tolist() == [2e7]


def test_losses_in_other_units_are_made_nats():
    np.testing.assert_allclose(table({"loss": 5.0}, unit="bits").columns["loss"], [5 * math.log(2)])
    row = {name: value for name, value in RUN.items() if name != "loss"}
    np.testing.assert_allclose(make_table([{**row, "ppl": 20.0}], "x", {}).columns["loss"], [math.log(20)])
    made = make_table([{**row, "bpb": 1.0, "bytes_per_token": 4.0}], "x", {})
    np.testing.assert_allclose(made.columns["loss"], [4 * math.log(2)])
    assert made.notes[-1] == "loss: made nats per token from bits_per_byte × bytes_per_token"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [{"params": 70}],
            (
                "params: under 1000 in 1 run (line 1). 70 cannot be parameters, embeddings and head "
                "included. "
                'Write whole counts, or with a unit: "70M", "70B"'
            ),
        ),
        ([{"loss": "n/a"}, {"loss": ""}], "loss: not a number in 2 runs (lines 1, 2). The first is 'n/a'"),
        ([{"loss": math.inf}], "loss: not a number in 1 run (line 1). The first is inf"),
        (
            [{}, {"loss": -1.0, "seed": 2}],
            ("loss: not above zero in 1 run (line 2). It counts nats per token, on held-out text"),
        ),
        (
            [{}, {}],
            ("the same run is listed twice, in lines 1 and 2. Remove one, or tell them apart by seed or by a column"),
        ),
        (
            [{}, {"loss": 3.6}],
            ("the same run is listed twice, in lines 1 and 2. Remove one, or tell them apart by seed or by a column"),
        ),
        (
            [{"unique_tokens": 2e8}],
            (
                "unique_tokens: more than tokens in 1 run (line 1). "
                "It counts the distinct tokens that training saw, not those that were there to see"
            ),
        ),
        (
            [{"unique_tokens": 1e8, "epochs": 2}],
            ("epochs: not tokens / unique_tokens in 1 run (line 1). Leave epochs out, and it is derived"),
        ),
        (
            [{"flops": 4.2e13}],
            (
                "flops: over 3 times off 6 × params × tokens in 1 run (line 1). "
                "The first is 0.001 times it: one of the three is in another unit"
            ),
        ),
        (
            [{"params_embedding": 8e7}],
            ("params_embedding: not below params in 1 run (line 1). params counts the embedding too"),
        ),
        (
            [{"params_non_embedding": 8e7}],
            ("params_non_embedding: above params in 1 run (line 1). params counts all parameters"),
        ),
        (
            [{"loss": 4.0, "perplexity": 16.0}],
            ("loss: in bits per token, as perplexity shows. With --loss-unit bits it is converted"),
        ),
        (
            [{"loss": 3.0, "perplexity": 16.0}],
            ("loss: not what perplexity tells in 1 run (line 1). Keep the one that is right"),
        ),
        ([{"ppl": 0}], "ppl: not above zero in 1 run (line 1). It counts perplexity"),
        (
            [{"loss": 12.0, "vocab_size": 32000}],
            (
                "loss: above ln(vocabulary), what guessing gives, in 1 run (line 1). "
                "With --loss-unit bits it is converted from bits; leave out a run that diverged"
            ),
        ),
    ],
)
def test_mistakes_say_what_where_and_what_would_work(rows, said):
    assert refused(*rows) == f"runs.csv: 1 mistake\n  {said}"


def test_all_mistakes_at_once():
    message = refused({"params": 70, "loss": "?"}, unit="shannons")
    assert message.startswith("runs.csv: 3 mistakes\n")
    assert "loss unit 'shannons' is not known. Give nats or bits (per token)" in message


def test_missing_columns():
    with pytest.raises(UserError) as caught:
        make_table([{"params": 7e7, "bits_per_byte": 1.0}], "x", {})
    assert str(caught.value) == (
        "x: 1 mistake\n  loss: only bits_per_byte is there. Add bytes_per_token, to make it nats per token"
    )
    with pytest.raises(UserError) as caught:
        make_table([{"params": 7e7}], "x", {})
    assert str(caught.value) == (
        "x: 2 mistakes\n  tokens: missing (tokens that training saw, repeats counted again). "
        "Name it with --column tokens=ITS_NAME\n"
        "  loss: missing (nats per token, on held-out text). Name it with --column loss=ITS_NAME"
    )


def test_columns_that_are_chosen_or_ambiguous():
    rows = [{"size": 7e7, "tokens": 1e8, "config.val/loss": 3.5, "summary.val_loss": 3.4}]
    with pytest.raises(UserError) as caught:
        make_table(rows, "x", {"params": "size"})
    assert str(caught.value) == (
        "x: 'config.val/loss' and 'summary.val_loss' could both be 'loss'. "
        "Say which with --column loss='config.val/loss'."
    )
    chosen = make_table(rows, "x", {"params": "size", "loss": "summary.val_loss"})
    assert chosen.columns["loss"].tolist() == [3.4]
    with pytest.raises(UserError) as caught:
        make_table(rows, "x", {"params": "width"})
    assert str(caught.value) == (
        "x: no column is named 'width' (asked for as 'params'). "
        "There are: size, tokens, config.val/loss, summary.val_loss."
    )


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("runs.csv", None, "there is no such runs table."),
        ("runs.csv", b"params,loss\n", "holds no runs."),
        ("runs.csv", b"params,loss\n1,2,3\n", "line 2 has not as many fields as the header"),
        ("runs.csv", b"params,loss\n1\n", "line 2 has not as many fields as the header"),
        ("runs.csv", b"loss,params,loss\n1,2,3\n", "two columns are named 'loss'"),
        ("runs.json", b"[" * 100_000, "cannot be read as a table of runs: nested too deep"),
        ("runs.csv", b"\xff\xfe", "cannot be read as a table of runs: 'utf-8' codec"),
        ("runs", b"params,loss\n", "the name ends in none of .csv, .tsv, .parquet, .json, .jsonl"),
        ("runs.xls", b"", "the name ends in none of .csv, .tsv, .parquet, .json, .jsonl"),
        ("runs.json", b"3", "not a list of runs, nor a mapping of columns"),
        ("runs.json", b"[3]", "a run must be a table of names and values, not '3'"),
        ("runs.json", b'{"a": [1], "b": [1, 2]}', "its columns differ in length"),
        ("runs.json", b"{", "cannot be read as a table of runs: Expecting"),
        ("runs.parquet", b"no parquet", "cannot be read as a table of runs: "),
    ],
)
def test_files_that_are_no_table(tmp_path, name, content, said):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_runs(str(tmp_path / name))
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert said in str(caught.value)


@pytest.mark.parametrize("name", ["runs", "runs.v2"])
def test_a_folder_stands_for_the_runs_inside(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=rf"{name}/runs\.csv: there is no such runs table"):
        read_runs(str(tmp_path / name))
    (tmp_path / name / "runs.csv").write_text("params,tokens,loss\n1e6,1e8,3\n")
    assert len(read_runs(str(tmp_path / name))) == 1


@given(st.integers(1, 10**6), st.sampled_from(["", "K", "k", "M", "B", "b", "T"]))
def test_counts_with_units(number, unit):
    factor = {"": 1, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}[unit.upper()]
    assert as_number(f"{number}{unit}") == float(number) * factor


@given(st.text(max_size=30))
def test_plain_names_are_plain(name):
    assert all(sign.isascii() and (sign.isalnum() or sign == "_") for sign in plain(name))


def test_rows_come_back():
    rows = rows_of(table({}, {"seed": 2}).columns)
    assert [row["seed"] for row in rows] == [1.0, 2.0]
    assert rows[0]["recipe"] == "clean"


def test_the_reference_trainers_table_is_read_as_it_is():
    from tokenladder.training.reference.settings import COLUMNS

    row = {
        "run": "clean-1M-4x128-1", "recipe": "clean", "rung": "1M", "params": 2e6, "params_non_embedding": 8e5,
        "params_embedding": 1.2e6, "params_vocabulary": 1.2e6, "tokens": 4e6, "unique_tokens": 1e6, "epochs": 4.0,
        "flops": 4.8e13, "steps": 1000, "batch_tokens": 4000, "loss": 4.0, "train_loss": 3.9,
        "bits_per_byte": 4.0 / math.log(2) / 3.5, "bytes_per_token": 3.5, "vocabulary": 8000, "seed": 1,
    }  # fmt: skip
    assert set(row) >= set(COLUMNS)
    runs = make_table([row], "runs.csv", {})
    assert runs.notes == ()
    assert {name: runs.columns[name][0] for name in row} == row
