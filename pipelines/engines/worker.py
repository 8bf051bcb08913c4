"""Workers: the command that an engine starts them with, and proof that they are equal to the one who asks.

`tokenladder-worker` is the boot command of Beam's PROCESS environments and the `--container_executable` of a worker
pool (EXTERNAL): it asks the engine's provision endpoint where to report, and becomes a worker of this very environment.
Nothing is downloaded or installed: the package must be there, and the same.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import importlib.metadata
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import __version__
from ..files import store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LIBRARIES = ("apache-beam", "numpy", "pyarrow", "zstandard")
"""What must be equal, besides Python and this package: Beam's graphs are pickled, and the others make bytes."""

PROVISION_SECONDS = 60.0


@functools.cache
def identity() -> dict[str, str]:
    """What this process runs: versions, and a hash of this package's own code, for a checkout keeps its version.

    >>> sorted(identity())
    ['apache-beam', 'numpy', 'pyarrow', 'python', 'tokenladder', 'zstandard']
    """
    root = Path(__file__).resolve().parents[2]
    code = hashlib.sha256()
    for folder in ("filters", "pipelines", "tokenizers"):
        for path in sorted((root / folder).rglob("*.py")):
            code.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    own = {
        "tokenladder": f"{__version__} ({code.hexdigest()[:12]})",
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
    }
    return own | {name: importlib.metadata.version(name) for name in LIBRARIES}


def differences(wanted: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """What differs, in words.

    >>> differences({"numpy": "2.3.1", "python": "3.11"}, {"numpy": "1.26.4", "python": "3.11"})
    ['numpy 1.26.4, not 2.3.1']
    """
    return [
        f"{name} {found.get(name, 'none')}, not {version}"
        for name, version in wanted.items()
        if found.get(name) != version
    ]


def check(wanted: Mapping[str, str], path: str) -> None:
    """Refuse to work where the code is another one, or where the store cannot be seen.

    Args:
        wanted: The identity of the process that started the build.
        path: A file that it wrote, in the store.

    Raises:
        UserError: Either does not hold; the message names this machine.
    """
    here = platform.node()
    # both what is loaded and what stands there now: children load that, and so does a later import
    if wrong := differences(wanted, identity()) or differences(wanted, identity.__wrapped__()):
        raise store.UserError(
            f"The worker on {here} has {'; '.join(wrong)}. Workers must have exactly what started the build, or the"
            " bytes would differ: install the same there, or give them one container image."
        )
    if not store.exists(path):
        raise store.UserError(
            f"The worker on {here} does not see {path}. Put OUT and the store where every worker reaches them under the"
            " same name: s3://, gs:// or a shared folder."
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Become a Beam worker: the boot command of PROCESS environments and worker pools."""
    parser = argparse.ArgumentParser(prog="tokenladder-worker", description=main.__doc__)
    parser.add_argument("--id", required=True, help="This worker's name, as the engine gives it.")
    parser.add_argument("--provision_endpoint", required=True, help="HOST:PORT where the engine says what to do.")
    for other in ("logging", "artifact", "control"):
        parser.add_argument(f"--{other}_endpoint", help="Otherwise as the provision endpoint says.")
    given = parser.parse_args(arguments)
    worker = given.id.strip("'")  # Prism puts quotes around it, for a shell that is not there
    os.environ |= _environment(worker, given)
    from apache_beam.runners.worker import sdk_worker_main, worker_id_interceptor

    # Beam reads it when it is imported, which a pool has done before
    worker_id_interceptor.WorkerIdInterceptor._worker_id = worker  # noqa: SLF001 there is no other way
    sdk_worker_main.main(sys.argv)


def _environment(worker: str, given: argparse.Namespace) -> dict[str, str]:
    """What Beam's worker reads from its environment."""
    import grpc
    from apache_beam.portability.api import beam_provision_api_pb2, beam_provision_api_pb2_grpc
    from google.protobuf import json_format, text_format

    metadata = [("worker_id", worker)]
    with grpc.insecure_channel(given.provision_endpoint) as channel:
        stub = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
        request = beam_provision_api_pb2.GetProvisionInfoRequest()
        info = stub.GetProvisionInfo(request, metadata=metadata, timeout=PROVISION_SECONDS, wait_for_ready=True).info

    def endpoint(name: str) -> str:
        address = getattr(given, f"{name}_endpoint") or getattr(info, f"{name}_endpoint").url
        return str(text_format.MessageToString(_descriptor(address), as_one_line=True))

    return {
        "WORKER_ID": worker,
        "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options),
        "LOGGING_API_SERVICE_DESCRIPTOR": endpoint("logging"),
        "CONTROL_API_SERVICE_DESCRIPTOR": endpoint("control"),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
    }


def _descriptor(address: str) -> Any:
    from apache_beam.portability.api import endpoints_pb2

    return endpoints_pb2.ApiServiceDescriptor(url=address)


if __name__ == "__main__":
    main()
