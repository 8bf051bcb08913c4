"""Object stores, s3:// and gs://, through pyarrow's own clients; `store` asks here for all that is not on a local disk.

What the clients do, and what is set or added here:

- A put is whole or not there: an object under 5 MB is one request, a larger one an upload in parts whose last request
  makes the key appear. A stream that may do either would put an empty object where an upload cannot be begun, so large
  objects get one that begins the upload when it is opened. Its writer can be killed at any time; parts that were
  uploaded for nothing are seen by nobody but cost, so give a bucket a rule that ends unfinished uploads.
- Throttling (503, 429), server errors, resets and time-outs are tried again: single requests by the clients, whole
  operations by `patience`, which also says why the clients' own is not enough.
- Listings come by pages of 1,000 keys, without a request for each folder.
- A file system is opened once for each bucket and process: pyarrow's `from_uri` asks for the bucket's region each time.
- Credentials come from where each cloud's tools look: environment, profile, instance. Addresses that hold any are
  refused, for addresses stand in studies, logs and manifests.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import os
import re
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
from pyarrow import fs

from .errors import UserError
from .patience import patiently
from .remote_file import RemoteFile

if TYPE_CHECKING:
    from collections.abc import Sequence

S3_ATTEMPTS = 4
"""Tries of one request by the client, within a second or so."""

GS_SECONDS = 10
"""For so long the client tries one request again. Its own default is fifteen minutes, in silence."""

PART_BYTES = 5 << 20
"""From this size on an object is uploaded in parts: S3's smallest."""

_BUCKET = re.compile(r"[A-Za-z0-9._-]+")


class Place(NamedTuple):
    """A file system and a path on it."""

    system: fs.FileSystem
    path: str


def place(address: str) -> Place:
    """The file system that holds an address, and the path on it.

    Raises:
        UserError: The address is of no storage that is known, or not written as one.
        OSError: The storage cannot be reached.
    """
    scheme, _, path = address.partition("://")
    if scheme not in _OPENERS:
        raise UserError(f"{address}: storage '{scheme}://' is not known. Use a local path, s3:// or gs://.")
    bucket = path.partition("/")[0]
    if "@" in bucket:
        shown = f"{scheme}://…@{path.partition('@')[2]}"
        raise UserError(
            f"{shown}: holds a name or a secret, which would be written into logs and results. "
            "Use the environment or a profile, as the cloud's own tools do."
        )
    if not _BUCKET.fullmatch(bucket):
        raise UserError(
            f"{address}: cannot be opened as storage: '{bucket}' is no bucket. Write {scheme}://BUCKET/PATH."
        )
    try:
        return Place(patiently(lambda: _open(scheme, bucket), asks=False), path.rstrip("/"))
    except (OSError, pa.ArrowInvalid) as error:  # a bucket's region is asked for over the network
        raise OSError(f"{address}: cannot be reached: {error}") from error


@functools.cache
def _open(scheme: str, bucket: str, *, for_parts: bool = False) -> fs.FileSystem:
    return _OPENERS[scheme](bucket, for_parts)


def _open_s3(bucket: str, for_parts: bool) -> fs.FileSystem:  # noqa: FBT001 private
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return fs.S3FileSystem(
        endpoint_override=endpoint,
        region=region if endpoint else fs.resolve_s3_region(bucket),
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=S3_ATTEMPTS),
        allow_delayed_open=not for_parts,
    )


def _open_gs(_bucket: str, _for_parts: bool) -> fs.FileSystem:  # noqa: FBT001 the same
    emulator = os.environ.get("STORAGE_EMULATOR_HOST", "")  # as the clients of other languages have it
    scheme, _, host = emulator.rpartition("://")
    return fs.GcsFileSystem(
        anonymous=bool(emulator) or os.environ.get("CLOUDSDK_AUTH_DISABLE_CREDENTIALS", "").lower() in {"1", "true"},
        endpoint_override=host or None,
        scheme=(scheme or "http") if emulator else None,
        retry_time_limit=dt.timedelta(seconds=GS_SECONDS),
    )


_OPENERS = {"s3": _open_s3, "gs": _open_gs}


def files(address: str) -> list[fs.FileInfo]:
    """The file of an address, or all files below it; paths without the scheme."""
    system, inner = place(address)
    first = info(address)
    if first.type == fs.FileType.File:
        return [first]
    below = fs.FileSelector(inner, recursive=True, allow_not_found=True)
    infos: Sequence[fs.FileInfo] = patiently(lambda: system.get_file_info(below))
    return [one for one in infos if one.type == fs.FileType.File]


def info(address: str) -> fs.FileInfo:
    """What stands under an address: its `type`, `size` and time."""
    system, inner = place(address)
    return patiently(lambda: system.get_file_info(inner))


def open_input(address: str) -> pa.NativeFile:
    """A seekable file, read by ranges."""
    system, inner = place(address)
    return pa.PythonFile(RemoteFile(patiently(lambda: system.open_input_file(inner))), mode="r")


def names(folder: str) -> set[str]:
    """Names of the files and folders directly in a folder; empty where there is no such folder."""
    system, inner = place(folder)
    inside = fs.FileSelector(inner, allow_not_found=True)
    return {one.base_name for one in patiently(lambda: system.get_file_info(inside))}


def put(address: str, data: bytes | pa.Buffer) -> None:
    """Put a whole object in place at once.

    Raises:
        OSError: The connection was lost, or the permission is missing. Nothing new is then visible or, where only
            the last answer was lost, the whole object.
    """
    system, inner = place(address)
    if len(data) >= PART_BYTES:
        scheme, bucket = address.partition("://")[0], inner.partition("/")[0]
        system = patiently(lambda: _open(scheme, bucket, for_parts=True), asks=False)
    patiently(lambda: _put(system, inner, data))


def _put(system: fs.FileSystem, inner: str, data: bytes | pa.Buffer) -> None:
    stream = system.open_output_stream(inner, compression=None, buffer_size=0)  # by default a .gz is compressed again
    try:
        stream.write(data)
        stream.close()
    except BaseException as error:
        with contextlib.suppress(OSError):
            stream.close()  # pyarrow has no way to give an upload up; one with an error in it does not complete
        if not isinstance(error, Exception):  # interrupted between two calls: what was closed may be empty
            with contextlib.suppress(OSError):
                system.delete_file(inner)
        raise


def remove(address: str) -> None:
    """Delete an object; nothing happens where there is none."""
    system, inner = place(address)
    with contextlib.suppress(FileNotFoundError):
        patiently(lambda: system.delete_file(inner))


def remove_folder(address: str) -> None:
    """Delete all objects below an address; nothing happens where there are none."""
    system, inner = place(address)
    with contextlib.suppress(FileNotFoundError):
        patiently(lambda: system.delete_dir(inner))
