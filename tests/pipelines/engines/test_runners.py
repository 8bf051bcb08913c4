"""What each runner needs is checked before work starts, and what is missing is said."""

from __future__ import annotations

import json
import platform
import socket
import sys
from pathlib import Path

import pytest

from tokenladder.pipelines.engines import runners, worker
from tokenladder.pipelines.engines.engine import Engine
from tokenladder.pipelines.engines.runner import Runner, check_storage, check_workers, missing_package
from tokenladder.pipelines.files import store

HERE = "tokenladder.tests.pipelines.misbehaving"


@pytest.fixture
def listening():
    """HOST:PORT where something answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def program(tmp_path):
    """A file that can be run, with the trace that Go leaves of a version."""

    def make(content=b""):
        path = tmp_path / "prism"
        path.write_bytes(b"ELF" + content)
        return path

    return make


def options(runner, name):
    module = __import__("apache_beam.options.pipeline_options", fromlist=[name])
    return runner.options.view_as(getattr(module, name))


def missing(*arguments):
    with pytest.raises(store.UserError) as error:
        runners.choose(arguments)
    return str(error.value)


def test_direct_runner_is_said_once_to_be_the_fn_api_runner():
    assert runners.choose(["--runner=DirectRunner"]).say == ["DirectRunner means Beam's FnApiRunner here"]
    assert runners.choose(["--runner=FnApiRunner"]).say == runners.choose([]).say == []
    assert [runners.choose(["--runner", name]).local for name in ("direct", "FnApiRunner")] == [True, True]


def test_misspelled_options_are_refused():
    assert missing("--direct_num_worker=4", "--quickly") == (
        "After --: Beam does not know --direct_num_worker, --quickly. Did you mean --direct_num_workers?"
    )


@pytest.mark.parametrize("stray", ["direct_num_workers=4", "-direct_num_workers=4", "four"])
def test_words_that_are_no_options_are_refused(stray):
    assert missing("--direct_running_mode", "in_memory", stray) == (
        f"After --: {stray} is no option of Beam's. Write --NAME=VALUE, such as --direct_num_workers=4."
    )


def test_numbers_that_mean_nothing_are_refused():
    wrong = missing("--direct_num_workers=-3")
    assert wrong == "--direct_num_workers=-3: give a number from 1 on, or 0 for all processors."
    assert missing("--runner=PortableRunner", "--job_endpoint=here:²") == "--job_endpoint=here:²: is no HOST:PORT."


def test_a_pipeline_has_options_of_its_own():
    runner = runners.choose(["--direct_num_workers=3"])
    first, pieces = runner.settings(100)
    first.view_as(type(options(runner, "DirectOptions"))).direct_num_workers = 9
    assert (options(runner, "DirectOptions").direct_num_workers, pieces) == (3, 0)


def test_prism_without_a_binary(monkeypatch, program):
    from apache_beam.version import __version__ as version

    get = f"go install github.com/apache/beam/sdks/v2/go/cmd/prism@v{version}"
    monkeypatch.setenv("PATH", "/nowhere")
    assert missing("--runner=PrismRunner") == (
        f"--runner=PrismRunner: there is no `prism` on PATH. Get it with `{get}`, or name it by --prism_location."
    )
    assert missing("--runner=PrismRunner", "--prism_location=/no/prism").startswith(
        "--runner=PrismRunner: /no/prism is no file. Get it with"
    )
    other = program(b"\nmod\tgithub.com/apache/beam/sdks/v2\tv2.1.0\th1:")
    assert missing("--runner=PrismRunner", f"--prism_location={other}") == (
        f"{other} is Prism 2.1.0, but Beam here is {version}: {get}"
    )


def test_prism_of_the_right_version(program):
    from apache_beam.version import __version__ as version

    binary = program(f"\nmod\tgithub.com/apache/beam/sdks/v2\tv{version}\th1:".encode())
    runner = runners.choose(["--runner=prism", f"--prism_location={binary}", "--environment_type=PROCESS"])
    command = json.loads(options(runner, "PortableOptions").environment_config)["command"]
    assert command == str(Path(sys.executable).parent / "tokenladder-worker")
    assert (runner.name, runner.local, runner.elsewhere) == ("PrismRunner", False, False)


def test_a_command_of_the_users_own_is_kept(listening):
    mine = '{"command": "/opt/boot"}'
    arguments = ["--runner=PortableRunner", f"--job_endpoint={listening}", "--environment_type=PROCESS"]
    kept = runners.choose([*arguments, f"--environment_config={mine}"])
    assert options(kept, "PortableOptions").environment_config == mine


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--runner=PortableRunner needs --job_endpoint=HOST:PORT, the address of a running job service."),
        (["--job_endpoint=here"], "--job_endpoint=here: is no HOST:PORT."),
        (["--job_endpoint=127.0.0.1:1"], r"--job_endpoint=127.0.0.1:1: nothing answers there \(.*refused\)."),
        (["--job_endpoint=LISTENING"], "--runner=PortableRunner needs --environment_type: LOOPBACK .*DOCKER"),
        (
            ["--job_endpoint=LISTENING", "--environment_type=EXTERNAL"],
            "EXTERNAL needs --environment_config=HOST:PORT, the address of a worker pool.* tokenladder worker-pool ",
        ),
        (
            ["--job_endpoint=LISTENING", "--environment_type=EXTERNAL", "--environment_config=localhost:1"],
            "--environment_config=localhost:1: nothing answers there",
        ),
        (
            ["--job_endpoint=LISTENING", "--environment_type=DOCKER"],
            "--environment_type=DOCKER needs --environment_config=IMAGE: .*studies/Dockerfile",
        ),
    ],
)
def test_what_a_portable_runner_lacks(listening, arguments, message):
    given = [argument.replace("LISTENING", listening) for argument in arguments]
    with pytest.raises(store.UserError, match=message):
        runners.choose(["--runner=PortableRunner", *given])


def test_flink_and_spark_need_a_job_server(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "/nowhere")
    told = missing("--runner=FlinkRunner")
    assert told.splitlines()[0] == "--runner=FlinkRunner needs"
    assert "--flink_job_server_jar, or --job_endpoint=HOST:PORT of a running one" in told
    assert "- Java: there is no `java` on PATH; --job_server_java_launcher names another" in told
    assert "--spark_job_server_jar=/no.jar: there is no such file" in missing(
        "--runner=SparkRunner", "--spark_job_server_jar=/no.jar"
    )
    jar, java = tmp_path / "server.jar", tmp_path / "java"
    jar.touch()
    java.touch(mode=0o755)
    given = [f"--flink_job_server_jar={jar}", f"--job_server_java_launcher={java}"]
    assert "--flink_master=127.0.0.1:1: nothing answers there" in missing(
        "--runner=FlinkRunner", *given, "--flink_master=127.0.0.1:1"
    )
    runner = runners.choose(["--runner=FlinkRunner", *given])
    assert (runner.name, runner.elsewhere, options(runner, "PortableOptions").environment_type) == (
        "FlinkRunner",
        False,
        "LOOPBACK",
    )
    assert (
        runners.choose(
            ["--runner=FlinkRunner", "--flink_job_server_jar=https://example.org/x.jar", given[1]]
        ).options.get_all_options()["flink_job_server_jar"]
        == "https://example.org/x.jar"
    )


def test_a_running_job_server_needs_no_jar(listening):
    runner = runners.choose(["--runner=SparkRunner", f"--job_endpoint={listening}"])
    assert (runner.name, options(runner, "PortableOptions").environment_type) == ("SparkRunner", "LOOPBACK")


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [
        ("DaskRunner", "distributed", "dask"),
        ("DataflowRunner", "apache_beam.runners.dataflow.internal.apiclient", "gcp"),
    ],
)
def test_engines_that_are_not_installed(monkeypatch, name, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    told = missing(f"--runner={name}")
    assert told.startswith(f"--runner={name} needs more packages (")
    assert told.endswith(f": pip install 'tokenladder[{extra}]'")


def test_local_folders_are_refused_where_workers_may_be_elsewhere():
    away = Runner("FlinkRunner", None, elsewhere=True)
    paths = ["/out", "s3://bucket/store", "/corpus/*.gz"]
    with pytest.raises(store.UserError) as error:
        check_storage(away, paths, shared=False)
    assert str(error.value) == (
        "FlinkRunner may run on other machines, which do not see /out, /corpus/*.gz. Use s3:// or gs:// paths, or say"
        " --shared (before --) if every worker has these folders under the same names."
    )
    check_storage(away, paths, shared=True)
    check_storage(away, paths[1:2], shared=False)
    check_storage(Runner("FnApiRunner", None), paths, shared=False)


def test_a_worker_of_another_version_is_refused(tmp_path):
    seen = tmp_path / "list"
    seen.touch()
    worker.check(worker.identity(), str(seen))
    with pytest.raises(store.UserError) as error:
        worker.check({**worker.identity(), "tokenladder": "0.0.1 (abc)", "pyarrow": "1.0"}, str(seen))
    own = worker.identity()
    assert str(error.value) == (
        f"The worker on {platform.node()} has tokenladder {own['tokenladder']}, not 0.0.1 (abc); pyarrow"
        f" {own['pyarrow']}, not 1.0. Workers must have exactly what started the build, or the bytes would differ:"
        " install the same there, or give them one container image."
    )


def test_a_worker_whose_files_were_changed_since_it_loaded_them_is_refused(tmp_path, monkeypatch):
    seen = tmp_path / "list"
    seen.touch()
    loaded = worker.identity()
    monkeypatch.setattr(worker, "__version__", "0.0.1")
    assert worker.identity() == loaded
    with pytest.raises(store.UserError, match=r"The worker on .* has tokenladder 0\.0\.1 \(.*\), not "):
        worker.check(loaded, str(seen))


def test_a_worker_that_does_not_see_the_store_is_refused(tmp_path):
    with pytest.raises(store.UserError, match=r"does not see .*absent\. Put OUT and the store where every worker"):
        worker.check(worker.identity(), str(tmp_path / "absent"))


def test_every_worker_asks_itself_before_its_first_task(tmp_path, monkeypatch):
    engine = Engine(str(tmp_path), ["--direct_running_mode=in_memory"])
    engine.runner.local = False
    engine.each("write", f"{HERE}:write_name", [{"folder": str(tmp_path), "name": "a"}])
    assert (tmp_path / "a").exists()
    monkeypatch.setattr(worker, "check", wrong)
    with pytest.raises(store.UserError, match="wrong worker"):
        engine.each("write", f"{HERE}:write_name", [{"folder": str(tmp_path), "name": "b"}])
    assert not (tmp_path / "b").exists()


def wrong(wanted, path):
    assert wanted == worker.identity()
    assert store.exists(path)
    raise store.UserError("wrong worker")


def test_workers_without_the_package():
    told = missing_package(RuntimeError("… ModuleNotFoundError: No module named 'tokenladder'"))
    assert str(told) == "The workers do not have this package: install the same version in their environment."
    assert missing_package(RuntimeError("something else")) is None


def test_all_workers_are_looked_at_where_the_engine_can():
    asked = []
    runner = Runner("DaskRunner", None, look=lambda *words: asked.append(words))
    check_workers(runner, "path")
    assert asked == [(worker.check, worker.identity(), "path")]

    def fail(*_):
        raise ModuleNotFoundError("No module named 'tokenladder'")

    with pytest.raises(store.UserError, match="The workers do not have this package"):
        check_workers(Runner("DaskRunner", None, look=fail), "path")
