"""Graphs of pipelines: small for every stage of a study, and of one size however many input files there are."""

from __future__ import annotations

import importlib.util

import apache_beam as beam
import little
import pytest

from tokenladder.pipelines.engines import runners, transforms
from tokenladder.pipelines.engines.engine import Engine
from tokenladder.pipelines.files import store

LIMIT = 100_000
"""Bytes; Dataflow takes some 10 MB."""

DATAFLOW = [
    "--runner=DataflowRunner",
    "--project=some-project",
    "--region=us-central1",
    "--temp_location=gs://bucket/tmp",
    "--sdk_container_image=registry.example.org/tokenladder:1",
    "--no_auth",
]


@pytest.fixture
def graphs(monkeypatch):
    """Graphs as engines get them, by label; nothing is run."""
    found = {}

    def make(transform, options, **_):
        pipeline = beam.Pipeline(options=options)
        pipeline | transform
        found[transform.label] = pipeline.to_runner_api().SerializeToString()

    monkeypatch.setattr(transforms, "run", make)
    return found


def test_a_graph_does_not_grow_with_the_number_of_files(tmp_path, graphs):
    engine = Engine(str(tmp_path), ["--direct_num_workers=1"])
    for files in (1, 100_000):
        tasks = [{"slice": f"s3://bucket/crawl/{n:06d}.warc.gz"} for n in range(files)]
        engine.each(f"read {files:06d}", "some:function", tasks, isolated=True)
        engine.exchange(f"group {files:06d}", "some:function", [("some:function", {"n": 1})], tasks)
    for kind in ("read", "group"):
        few, many = (len(graphs[f"{kind} {files:06d}"]) for files in (1, 100_000))
        assert abs(many - few) < 200  # the list's temporary name
        assert many < LIMIT


def test_graphs_of_a_real_study_are_small(tmp_path, graphs, monkeypatch):
    real = Engine(str(tmp_path / "store"), ["--direct_num_workers=1"])

    class Both(little.Eager):
        """Makes the graph of each stage, then runs it without Beam."""

        def each(self, *words, **options):
            real.each(*words, **options)
            super().each(*words, **options)

        def exchange(self, *words, **options):
            real.exchange(*words, **options)
            super().exchange(*words, **options)

    monkeypatch.setattr(little, "Eager", Both)
    little.write_jsonl(tmp_path / "a.jsonl", little.corpus(1, 30, copies=3, neighbours=9))
    study = little.write_study(tmp_path, {"a": "a.jsonl"}, budgets=[20 * little.LENGTH])
    little.build(study, tmp_path / "out")
    assert {"read and score", "find candidates", "compare candidates", "encode", "pack"} <= graphs.keys()
    assert {label: len(graph) for label, graph in graphs.items() if len(graph) > LIMIT} == {}


@pytest.fixture
def dataflow():
    found = importlib.util.find_spec("google.cloud")
    if found is None or importlib.util.find_spec("google.cloud.dataflow_v1beta3") is None:
        pytest.skip("no Dataflow client: pip install 'tokenladder[gcp]'")


@pytest.mark.cluster
@pytest.mark.usefixtures("dataflow")
def test_dataflow_says_all_that_it_lacks(tmp_path):
    with pytest.raises(store.UserError) as error:
        Engine(str(tmp_path), ["--runner=DataflowRunner", "--region=us-central1"])
    assert str(error.value) == (
        "--runner=DataflowRunner needs --project, --temp_location, --sdk_container_image (an image that holds this"
        " package: studies/Dockerfile)."
    )
    with pytest.raises(store.UserError, match=r"After --, Beam's own options: Invalid Project ID \(x\)"):
        Engine(str(tmp_path), [*DATAFLOW, "--project=x"])


@pytest.mark.cluster
@pytest.mark.usefixtures("dataflow")
def test_a_dry_run_on_dataflow_makes_the_first_job_and_ends(tmp_path):
    little.write_jsonl(tmp_path / "a.jsonl", little.corpus(1, 30))
    study = little.write_study(tmp_path, {"a": "a.jsonl"}, budgets=[20 * little.LENGTH])
    with pytest.raises(runners.DryRun) as end:
        little.build(study, tmp_path / "out", beam=[*DATAFLOW, "--dry_run=true"])
    assert str(end.value) == "Dry run: the job of the stage 'read and score' was made. Nothing was run."


@pytest.mark.cluster
@pytest.mark.usefixtures("dataflow")
def test_what_dataflow_is_asked_for(tmp_path):
    runner = Engine(str(tmp_path), DATAFLOW).runner
    found = runner.options.get_all_options()
    assert (found["resource_hints"], found["number_of_worker_harness_threads"]) == (["min_ram=8GB"], 1)
    assert (found["save_main_session"], runner.elsewhere, runner.dry) == (False, True, False)
    asked = Engine(str(tmp_path), [*DATAFLOW, "--resource_hints=min_ram=32GB"]).runner.options.get_all_options()
    assert asked["resource_hints"] == ["min_ram=32GB"]
