"""Scores as workers use them: built from what a task says, and with errors for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import filters
from ..filters.functions import FunctionError
from . import store

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from ..filters.family import Family


def open_family(fingerprint: str, spec: Mapping[str, Any]) -> Family:
    """A score as the plan had it.

    Args:
        fingerprint: Of its identity when the plan was made.
        spec: `type` and `parameters`.

    Raises:
        UserError: Its identity is another one here: a file that it reads was changed since, or a library that it
            depends on has another version on this machine.
    """
    try:
        family = filters.build(spec["type"], spec["parameters"])
        now = store.fingerprint(family.identity())
    except (FunctionError, FileNotFoundError) as error:
        raise store.UserError(f"A score of type {spec['type']} cannot be computed: {error}") from error
    if now != fingerprint:
        raise store.UserError(
            f"A score of type {spec['type']} is not what it was when the build began: a file that it reads was changed "
            "since, or this worker has other versions of Python or of a library. Start the build again, with equal "
            "workers."
        )
    return family


def score_batch(family: Family, documents: pa.RecordBatch) -> pa.RecordBatch:
    """A score's columns of a batch of documents.

    Raises:
        UserError: The user's own function failed.
    """
    try:
        return family.score(documents)
    except FunctionError as error:
        raise store.UserError(str(error)) from error
