"""One study on engines of other processes: the same bytes, hostile input survived, other versions refused.

`TOKENLADDER_ENGINES=1 pytest tests/pipelines/engines/test_engines.py` starts every engine that is installed here;
`TOKENLADDER_FLINK_JAR` and `TOKENLADDER_SPARK_JAR` name Beam's job servers, which bench/job_servers puts together.
bench/engines.py does the same at size.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from pathlib import Path

import little
import pytest

from tokenladder.pipelines.engines.engine import Engine
from tokenladder.pipelines.files import store

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        not os.environ.get("TOKENLADDER_ENGINES"),
        reason="set TOKENLADDER_ENGINES=1 to start engines of other processes",
    ),
]
ENGINES = ["multi_processing", "prism-loopback", "prism-process", "prism-external", "dask"]
JAVA = [f"{kind}-{where}" for kind in ("flink", "spark") for where in ("loopback", "process", "external", "cluster")]
HERE = "tokenladder.tests.pipelines.misbehaving"


@pytest.fixture(scope="module")
def clusters():
    sys.path.append(str(Path(__file__).resolve().parents[3] / "bench"))
    try:
        import clusters
    finally:
        sys.path.pop()
    return clusters


@pytest.fixture
def start(clusters):
    """Engines that can be started here, or the reason why one is not."""

    def begin(name, folder, workers=2):
        if (reason := clusters.absent(name)) is not None:
            pytest.skip(reason)
        return clusters.engine(name, folder, workers)

    return begin


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    rows = little.corpus(6, 30, copies=3, neighbours=12)
    little.write_jsonl(folder / "lines" / "a.jsonl", rows[:20])
    little.write_jsonl(folder / "lines" / "b.jsonl", rows[20:])
    little.write_warc(folder / "crawl.warc.gz", little.corpus(4, 20, prefix="page", words=(40, 90)))
    sources = {"lines": "lines/*.jsonl", "web": {"format": "warc", "path": "crawl.warc.gz"}}
    held_out = {"tokens": 3 * little.LENGTH}
    return little.write_study(folder, sources, budgets=[20 * little.LENGTH], held_out=held_out)


@pytest.fixture(scope="module")
def made(study, tmp_path_factory):
    """What gives the study, built in this process: once, and only if an engine of some test is here."""
    return functools.cache(lambda: little.files(little.build(study, tmp_path_factory.mktemp("made") / "out").out))


@pytest.mark.parametrize("name", [*ENGINES, *JAVA])
def test_every_engine_gives_the_same_bytes(study, made, tmp_path, start, name):
    with start(name, tmp_path) as beam:
        other = little.build(study, tmp_path / "out", beam=beam)
        assert little.differing(little.files(other.out), made()) == []


@pytest.mark.parametrize("name", ["prism-process", "dask"])
def test_workers_of_an_engine_have_children_that_may_crash(tmp_path, start, name):
    with start(name, tmp_path) as beam:
        engine = Engine(str(tmp_path / "store"), beam)
        engine.each("crash", f"{HERE}:note", [{"crash": [1, 3], "folder": str(tmp_path)}], isolated=True)
        with pytest.raises(store.UserError, match="what is wrong: ä\nand a second line"):
            engine.each("fail", f"{HERE}:fail", [{"kind": "UserError"}], isolated=True)
    noted = json.loads((tmp_path / "noted").read_text())
    assert noted == {"done": [0, 2], "reject": dict.fromkeys("13", "extraction crashed (signal 11)")}


def test_a_process_of_another_version_is_refused(tmp_path, start):
    boot = tmp_path / "boot"
    older = (
        "import tokenladder; tokenladder.__version__ = '0.0.1'; "
        "from tokenladder.pipelines.engines import worker; worker.main()"
    )
    boot.write_text(f"#!{sys.executable}\n{older}\n")
    boot.chmod(0o755)
    with start("prism-process", tmp_path) as beam:
        engine = Engine(str(tmp_path / "store"), [*beam, f'--environment_config={{"command": "{boot}"}}'])
        with pytest.raises(store.UserError, match=r"The worker on .* has tokenladder 0\.0\.1 \(.*\), not "):
            engine.each("write", f"{HERE}:write_name", [{"folder": str(tmp_path), "name": "x"}])
    assert not (tmp_path / "x").exists()


def test_a_dask_worker_of_another_version_is_refused_before_any_work(tmp_path, start, clusters):
    start("dask", tmp_path)
    older = "import tokenladder; tokenladder.__version__ = '0.0.1'"
    with (
        clusters.dask_cluster(1, tmp_path, preload=older) as dask,
        pytest.raises(store.UserError, match=r"has tokenladder 0\.0\.1 \(.*\), not "),
    ):
        Engine(str(tmp_path / "store"), ["--runner=DaskRunner", f"--dask_client_address={dask.address}"])


def test_a_dask_cluster_that_is_none(tmp_path, start):
    start("dask", tmp_path)
    with pytest.raises(store.UserError, match="needs --dask_client_address=tcp://HOST:8786"):
        Engine(str(tmp_path), ["--runner=DaskRunner"])
    with pytest.raises(store.UserError, match=r"No Dask scheduler answers at tcp://127\.0\.0\.1:1"):
        Engine(str(tmp_path), ["--runner=DaskRunner", "--dask_client_address=tcp://127.0.0.1:1"])
