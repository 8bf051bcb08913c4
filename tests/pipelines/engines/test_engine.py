"""The engine on Beam's local runner: tasks and exchanges, errors that stay what they are, options that are checked."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tokenladder.pipelines.engines import runners
from tokenladder.pipelines.engines.engine import Engine
from tokenladder.pipelines.files import store

HERE = "tokenladder.tests.pipelines.misbehaving"
FN_API = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"


@pytest.fixture(params=["in_memory", "multi_threading"])
def engine(request, tmp_path):
    return Engine(str(tmp_path / "store"), [f"--direct_running_mode={request.param}", "--direct_num_workers=2"])


def test_every_task_is_run_and_the_list_removed(engine, tmp_path):
    engine.each("write: names & more", f"{HERE}:write_name", [{"folder": str(tmp_path), "name": n} for n in range(7)])
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == list("0123456")
    assert store.names(engine.folder + "/tasks") == set()


def test_an_exchange_of_two_steps(engine, tmp_path):
    tasks = [{"name": name} for name in "cab"]
    reduces = [(f"{HERE}:count_names", {"mark": "!"}), (f"{HERE}:write_bucket", {"folder": str(tmp_path)})]
    engine.exchange("count", f"{HERE}:emit_name", reduces, tasks)
    written = {path.name: path.read_text() for path in tmp_path.iterdir() if path.is_file()}
    assert written == {"0": "0:a+b+c! 2:a+b+c!", "1": "1:a+b+c!"}


def test_no_tasks_need_no_engine(tmp_path):
    engine = Engine(str(tmp_path / "store"))
    engine.each("nothing", "no:function", [])
    engine.exchange("nothing", "no:function", [], [])
    assert list(tmp_path.iterdir()) == []


def fail(kind):
    return (f"{HERE}:fail_in_bucket", kind)


@pytest.mark.parametrize(("kind", "raised"), [("UserError", store.UserError), ("OSError", OSError)])
@pytest.mark.parametrize(
    "run",
    [
        lambda engine, kind: engine.each("fail", f"{HERE}:fail_with", [kind]),
        lambda engine, kind: engine.each("fail", f"{HERE}:fail", [kind], isolated=True),
        lambda engine, kind: engine.exchange("fail", f"{HERE}:fail_with", [], [kind]),
        lambda engine, kind: engine.exchange("fail", f"{HERE}:emit_name", [fail(kind)], [{"name": 1}]),
    ],
    ids=["each", "isolated", "emit", "reduce"],
)
def test_errors_for_people_come_through_beam_as_they_are(tmp_path, run, kind, raised, capfd):
    engine = Engine(str(tmp_path), ["--direct_running_mode=multi_threading", "--direct_num_workers=2"])
    with pytest.raises(raised) as error:
        run(engine, {"kind": kind})
    assert str(error.value) == "what is wrong: ä\nand a second line"
    assert "Traceback" not in capfd.readouterr().err  # Beam's own report of it


def test_other_errors_keep_their_text(tmp_path):
    engine = Engine(str(tmp_path), ["--direct_running_mode=in_memory"])
    with pytest.raises(Exception, match="what is wrong"):
        engine.each("fail", f"{HERE}:fail_with", [{"kind": "ValueError"}])


@pytest.mark.parametrize("arguments", [[], ["--runner=DirectRunner"], ["--runner", "FnApiRunner"], ["--runner=direct"]])
def test_the_local_runner_is_one_engine(arguments):
    found = runners.choose(arguments).options.get_all_options()
    workers = len(os.sched_getaffinity(0))
    assert (found["runner"], found["direct_running_mode"], found["direct_num_workers"]) == (
        FN_API,
        "multi_threading",
        workers,
    )


def test_what_is_asked_for_is_kept():
    arguments = ["--direct_running_mode", "multi_processing", "--direct_num_workers=7"]
    found = runners.choose(arguments).options.get_all_options()
    assert (found["direct_running_mode"], found["direct_num_workers"]) == ("multi_processing", 7)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (
            "--runner=Nonsense",
            "--runner=Nonsense: Unexpected pipeline runner: Nonsense. Valid values are .*FlinkRunner",
        ),
        ("--runner=no.such.Runner", "--runner=no.such.Runner: No module named 'no'"),
        (
            "--direct_num_workers=x",
            "After --, Beam's own options: argument --direct_num_workers: invalid int value: 'x'",
        ),
        ("--max_num_workers=x", "After --, Beam's own options: argument --max_num_workers: invalid int value: 'x'"),
    ],
)
def test_options_that_beam_does_not_know_fail_before_work_starts(tmp_path, argument, message, capfd):
    with pytest.raises(store.UserError, match=message):
        Engine(str(tmp_path), [argument])
    assert "usage" not in capfd.readouterr().err


def test_beam_is_not_imported_before_there_is_work():
    code = "import sys, tokenladder.pipelines.drivers.build; print('apache_beam' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "False\n"
