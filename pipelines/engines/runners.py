"""Runners: which engine the words after `--` mean, what it needs, and whether that is there before work starts.

| runner | workers | needs |
| --- | --- | --- |
| FnApiRunner, also DirectRunner | threads or processes here | nothing |
| PrismRunner | threads of this process (LOOPBACK), processes (PROCESS), a worker pool (EXTERNAL) | the binary `prism` |
| PortableRunner | wherever its job service has them | `--job_endpoint`, `--environment_type` |
| FlinkRunner, SparkRunner | the same | a job server: its jar and Java, or `--job_endpoint` |
| DaskRunner | `dask worker` processes | the extra `dask`, `--dask_client_address` |
| DataflowRunner | Google's | the extra `gcp`, project, region, a container image, storage on gs:// |

All but Dataflow were seen to give the same bytes: Prism 2.77, Dask 2026.8, and by Beam's job server of 2.62, sent the
jobs of Beam 2.77, Flink 1.19 (LOOPBACK, PROCESS, EXTERNAL; processes of its own) and Spark 3.5 (LOOPBACK, PROCESS).

Beam is imported inside: what is wrong with its options is said before work starts, and a build without any starts fast.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import io
import itertools
import json
import mmap
import os
import platform
import re
import shutil
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..files import store
from . import dask_wait
from .job_server import JobServer
from .processors import processors
from .runner import Runner

CONNECT_SECONDS = 10.0
"""How long an address may take to answer."""

PIECES_A_THREAD = 4
"""Pieces into which a list of tasks is cut for each thread of a Dask cluster, so that slow ones even out."""

DATAFLOW_MEMORY = "min_ram=8GB"
"""A worker holds Beam and arrays (0.5 GB), and a child process that may take 6 GiB for a monstrous page."""

_FN_API = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
_DASK = "apache_beam.runners.dask.dask_runner.DaskRunner"
_HERE = frozenset({"", "localhost", "127.0.0.1", "::1", "0.0.0.0"})  # noqa: S104 compared with, never bound to
_PRISM_VERSION = re.compile(rb"mod\tgithub\.com/apache/beam/sdks/v2\tv([0-9.]+)")


def choose(arguments: Sequence[str]) -> Runner:
    """The runner that the arguments mean, with all that it needs.

    Raises:
        UserError: Beam does not know an option or the runner, or something that it needs is missing.
    """
    from . import transforms  # noqa: F401 imports Beam without its warnings

    named = [argument.partition("=")[2] for argument in arguments if argument.startswith("--runner=")]
    named += [after for before, after in itertools.pairwise(arguments) if before == "--runner"]
    key = (named[-1] if named else "FnApiRunner").rpartition(".")[2].lower().removesuffix("runner")
    if key == "dask":
        _need("--runner=DaskRunner", "distributed", "dask")
        importlib.import_module(_DASK.rpartition(".")[0])  # without it Beam does not know the options
    if key == "dataflow":
        _need("--runner=DataflowRunner", "apache_beam.runners.dataflow.internal.apiclient", "gcp")
    _refuse_stray(arguments)
    options = _parse(arguments)
    make = {
        "direct": _fn_api,
        "fnapi": _fn_api,
        "prism": _prism,
        "portable": _portable,
        "flink": _flink,
        "spark": _spark,
        "dask": _dask,
        "dataflow": _dataflow,
    }.get(key, _other)
    runner = make(options, arguments)
    if runner.name in {"FnApiRunner", "DaskRunner", "DataflowRunner"}:  # job services may have options of their own
        _refuse_unknown(arguments)
    if not runner.local:
        _stage_nothing(options)
    _validate(options)
    return runner


def _need(what: str, module: str, extra: str) -> None:
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise store.UserError(f"{what} needs more packages ({error}): pip install 'tokenladder[{extra}]'") from error


def _parse(arguments: Sequence[str]) -> Any:
    from apache_beam.options.pipeline_options import PipelineOptions

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):  # argparse prints all that it knows and ends the process
            options = PipelineOptions(list(arguments))
            options.get_all_options()
    except SystemExit as error:
        told = said.getvalue().strip().rpartition("error: ")[2]
        raise store.UserError(f"After --, Beam's own options: {told}") from error
    return options


def _refuse_stray(arguments: Sequence[str]) -> None:
    """Beam passes over words that are neither an option nor the value of one, such as an option without its hyphens."""
    before = ["", *arguments]
    words = [
        one
        for last, one in zip(before, arguments, strict=False)
        if not one.startswith("--") and ("=" in last or not last.startswith("--"))
    ]
    if words:
        raise store.UserError(
            f"After --: {' '.join(words)} is no option of Beam's. Write --NAME=VALUE, such as --direct_num_workers=4."
        )


def _refuse_unknown(arguments: Sequence[str]) -> None:
    """Beam itself lets a misspelled option pass with a warning."""
    from apache_beam.options.pipeline_options import PipelineOptions

    known = PipelineOptions([]).get_all_options()
    given = PipelineOptions(list(arguments)).get_all_options(retain_unknown_options=True)
    if unknown := sorted(given.keys() - known.keys()):
        near = [f"--{name}" for one in unknown for name in difflib.get_close_matches(one, known, 1)]
        hint = f" Did you mean {', '.join(near)}?" if near else ""
        raise store.UserError(f"After --: Beam does not know {', '.join(f'--{name}' for name in unknown)}.{hint}")


def _stage_nothing(options: Any) -> None:
    """Workers have the package: neither the main module nor a list of packages (a `pip freeze` a stage) is sent."""
    debug, setup = _view(options, "DebugOptions"), _view(options, "SetupOptions")
    debug.experiments = [*(debug.experiments or []), "disable_logging_submission_environment"]
    setup.save_main_session = bool(setup.save_main_session)


def _validate(options: Any) -> None:
    """Have Beam look at the options as it would when the first pipeline is made."""
    from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
    from apache_beam.runners.runner import create_runner

    runner = create_runner(_view(options, "StandardOptions").runner)
    if wrong := PipelineOptionsValidator(options, runner).validate():
        raise store.UserError(f"After --, Beam's own options: {' '.join(wrong)}")


def _view(options: Any, name: str) -> Any:
    module = importlib.import_module("apache_beam.options.pipeline_options")
    return options.view_as(getattr(module, name))


def _fn_api(options: Any, arguments: Sequence[str]) -> Runner:
    """Threads by default, one for each processor.

    DirectRunner by itself would look for a Prism binary first, and fall back without a word.
    """
    standard, direct = _view(options, "StandardOptions"), _view(options, "DirectOptions")
    say = ["DirectRunner means Beam's FnApiRunner here"] if str(standard.runner).lower().startswith("direct") else []
    standard.runner = _FN_API
    if not any(argument.startswith("--direct_running_mode") for argument in arguments):
        direct.direct_running_mode = "multi_threading"
    if not any(argument.startswith("--direct_num_workers") for argument in arguments):
        direct.direct_num_workers = processors()
    if direct.direct_num_workers < 0:
        raise store.UserError(
            f"--direct_num_workers={direct.direct_num_workers}: give a number from 1 on, or 0 for all processors."
        )
    return Runner("FnApiRunner", options, local=True, say=say)


def _prism(options: Any, arguments: Sequence[str]) -> Runner:
    standard, prism = _view(options, "StandardOptions"), _view(options, "PrismRunnerOptions")
    standard.runner = "PrismRunner"
    if _view(options, "PortableOptions").job_endpoint:
        return _portable(options, arguments)
    from apache_beam.version import __version__ as version

    get = f"go install github.com/apache/beam/sdks/v2/go/cmd/prism@v{version}"
    binary = prism.prism_location or shutil.which("prism")
    if binary is None or not Path(binary).is_file():
        where = f"{binary} is no file" if binary else "there is no `prism` on PATH"
        raise store.UserError(f"--runner=PrismRunner: {where}. Get it with `{get}`, or name it by --prism_location.")
    if (found := _prism_version(binary)) not in {None, version}:
        raise store.UserError(f"{binary} is Prism {found}, but Beam here is {version}: {get}")
    prism.prism_location = binary
    if not any(argument.startswith("--prism_log_level") for argument in arguments):
        prism.prism_log_level = "warn"
    server = JobServer("prism", options)  # Beam's own would outlive this process, were it killed
    started: dict[str, Any] = {"serve": server.address, "server_log": server.said, "minding": server.minding_workers}
    return Runner("PrismRunner", options, elsewhere=_environment(options), job_service=True, **started)


def _prism_version(binary: str) -> str | None:
    """The version that Go wrote into a binary; None for one that was built from a checkout."""
    with Path(binary).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = _PRISM_VERSION.search(data)
        return found[1].decode() if found else None


def _portable(options: Any, _: Sequence[str]) -> Runner:
    standard, portable = _view(options, "StandardOptions"), _view(options, "PortableOptions")
    name = standard.runner.rpartition(".")[2]
    if not portable.job_endpoint:
        raise store.UserError(f"--runner={name} needs --job_endpoint=HOST:PORT, the address of a running job service.")
    away = not _is_here(_reach("--job_endpoint", portable.job_endpoint))
    if not portable.environment_type:
        raise store.UserError(
            f"--runner={name} needs --environment_type: LOOPBACK (this process works), PROCESS (the engine starts"
            " tokenladder-worker), EXTERNAL (a worker pool) or DOCKER (an image)."
        )
    elsewhere = _environment(options, away=away)
    return Runner(name, options, elsewhere=elsewhere, job_service=True)


def _flink(options: Any, arguments: Sequence[str]) -> Runner:
    flink = _view(options, "FlinkRunnerOptions")
    master = "" if flink.flink_master in {"[local]", "[auto]"} else flink.flink_master
    if not master and flink.parallelism < 1:
        flink.parallelism = processors()  # a Flink inside the job server would work with one thread
    return _job_server(options, arguments, "flink", flink.flink_job_server_jar, master)


def _spark(options: Any, arguments: Sequence[str]) -> Runner:
    spark = _view(options, "SparkRunnerOptions")
    master = "" if spark.spark_master_url.startswith("local") else spark.spark_master_url
    return _job_server(options, arguments, "spark", spark.spark_job_server_jar, master)


def _job_server(options: Any, arguments: Sequence[str], engine: str, jar: str | None, master: str) -> Runner:
    """Flink or Spark: Beam's Java job server, started from its jar or running somewhere."""
    standard, portable = _view(options, "StandardOptions"), _view(options, "PortableOptions")
    name = f"{engine.capitalize()}Runner"
    standard.runner = name
    portable.environment_type = portable.environment_type or ("DOCKER" if master else "LOOPBACK")
    if portable.job_endpoint:
        return _portable(options, arguments)
    from apache_beam.version import __version__ as version

    java = _view(options, "JobServerOptions").job_server_java_launcher
    missing = []
    if jar is None:
        missing.append(
            f"the job server (a file beam-runners-{engine}-…-job-server-{version}.jar of Apache Beam's releases): its"
            f" path or address as --{engine}_job_server_jar, or --job_endpoint=HOST:PORT of a running one"
        )
    elif "://" not in jar and not Path(jar).is_file():
        missing.append(f"--{engine}_job_server_jar={jar}: there is no such file")
    if shutil.which(java) is None:
        missing.append(f"Java: there is no `{java}` on PATH; --job_server_java_launcher names another")
    if missing:
        raise store.UserError("\n".join([f"--runner={name} needs", *(f"- {one}" for one in missing)]))
    away = bool(master) and not _is_here(_reach(f"--{engine}_master", re.sub(r"^\w+://", "", master)))
    of = re.search(r"job-server-([\d.]+\d)\.jar$", jar or "")  # as Apache Beam names its own
    say = [f"{jar} is of Beam {of[1]}, and Beam here is {version}: it may fail"] if of and of[1] != version else []
    server, elsewhere = JobServer(engine, options), _environment(options, away=away)
    started: dict[str, Any] = {"serve": server.address, "server_log": server.said}
    return Runner(name, options, elsewhere=elsewhere, say=say, job_service=True, **started)


def _environment(options: Any, *, away: bool = False) -> bool:
    """Complete how a portable engine starts workers, and tell whether they may be on other machines.

    Args:
        options: Beam's; changed.
        away: Whether the engine itself is on another machine.
    """
    portable = _view(options, "PortableOptions")
    kind = (portable.environment_type or "LOOPBACK").upper()
    if kind == "LOOPBACK":
        return False
    if kind == "PROCESS":
        if portable.environment_config is None and portable.lookup_environment_option("process_command") is None:
            portable.environment_config = json.dumps({"command": _boot_command()})
        return away
    if kind == "EXTERNAL":
        pool = portable.environment_config or portable.lookup_environment_option("external_service_address")
        if not pool:
            raise store.UserError(
                "--environment_type=EXTERNAL needs --environment_config=HOST:PORT, the address of a worker pool. On"
                " each worker machine run one: tokenladder worker-pool --port PORT"
            )
        return away or not _is_here(_reach("--environment_config", pool))
    if kind == "DOCKER" and not portable.environment_config and not portable.environment_options:
        raise store.UserError(
            "--environment_type=DOCKER needs --environment_config=IMAGE: one that holds this package (build it from"
            " studies/Dockerfile)."
        )
    return True


def _boot() -> Path:
    return Path(sys.executable).parent / "tokenladder-worker"


def _boot_command() -> str:
    if not os.access(_boot(), os.X_OK):
        raise store.UserError(f"{_boot()}: is not there, so no worker can be started. Install the package with pip.")
    return str(_boot())


def _dask(options: Any, _: Sequence[str]) -> Runner:
    import distributed
    from apache_beam.runners.dask.dask_runner import DaskOptions

    dask_wait.hush()
    given = options.view_as(DaskOptions)
    _view(options, "StandardOptions").runner = _DASK
    if not given.address and not given.scheduler_file:
        raise store.UserError(
            "--runner=DaskRunner needs --dask_client_address=tcp://HOST:8786 (or --dask_scheduler_file): start `dask"
            " scheduler`, and on every machine `dask worker tcp://HOST:8786`."
        )
    where = given.address or given.scheduler_file

    def client() -> Any:
        try:
            return distributed.Client(
                given.address, scheduler_file=given.scheduler_file, timeout=CONNECT_SECONDS, set_as_default=False
            )
        except (OSError, ValueError) as error:
            raise store.UserError(f"No Dask scheduler answers at {where}: {error}") from error

    def look(function: Callable[..., None], *values: Any) -> None:
        with client() as found:
            answers = found.run(function, *values, on_error="return")
        for address in sorted(answers):
            if isinstance(answers[address], Exception):
                raise answers[address]

    with client() as found:
        threads = sum(found.nthreads().values())
    if threads == 0:
        raise store.UserError(f"The Dask scheduler at {where} has no workers: start `dask worker {where}`.")
    say = [f"Dask: {threads} threads"]
    return Runner("DaskRunner", options, pieces=given.npartitions or PIECES_A_THREAD * threads, say=say, look=look)


def _dataflow(options: Any, _: Sequence[str]) -> Runner:
    standard, work = _view(options, "StandardOptions"), _view(options, "WorkerOptions")
    cloud, debug = _view(options, "GoogleCloudOptions"), _view(options, "DebugOptions")
    standard.runner = "DataflowRunner"
    dry = bool(_view(options, "TestOptions").dry_run or cloud.template_location)
    missing = [f"--{name}" for name in ("project", "region", "temp_location") if not getattr(cloud, name)]
    if not work.sdk_container_image:
        missing.append("--sdk_container_image (an image that holds this package: studies/Dockerfile)")
    if missing:
        raise store.UserError(f"--runner=DataflowRunner needs {', '.join(missing)}.")
    if not standard.resource_hints:
        standard.resource_hints = [DATAFLOW_MEMORY]
    if debug.number_of_worker_harness_threads is None:
        debug.number_of_worker_harness_threads = 1  # a process for each processor is there; each thread adds a child
    return Runner("DataflowRunner", options, elsewhere=True, dry=dry)


def _other(options: Any, _: Sequence[str]) -> Runner:
    """A runner of Beam's or of the user's that nothing is known about."""
    from apache_beam.runners.runner import create_runner

    name = _view(options, "StandardOptions").runner
    try:
        create_runner(name)
    except (ValueError, ImportError, AttributeError) as error:
        raise store.UserError(f"--runner={name}: {error}") from error
    return Runner(name, options, elsewhere=True)


def _reach(option: str, address: str) -> str:
    """Connect to `HOST:PORT` and hang up; give the host.

    Raises:
        UserError: It is no address, or nothing answers there.
    """
    host, _, port = address.removeprefix("http://").removeprefix("https://").rpartition(":")
    if not (port.isascii() and port.isdigit()):
        raise store.UserError(f"{option}={address}: is no HOST:PORT.")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise store.UserError(f"{option}={address}: nothing answers there ({error}).") from error
    return host.strip("[]")


def _is_here(host: str) -> bool:
    return host in _HERE or host == platform.node()
