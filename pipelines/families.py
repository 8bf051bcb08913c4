"""Scores as workers use them: built from what a task says, and with errors for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from .. import filters
from ..filters.functions import FunctionError
from . import store
from .child import SCORING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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


def score_carefully(  # noqa: PLR0917 what a score of one record at a time needs
    family: Family,
    documents: pa.RecordBatch,
    number: int,
    first: int,
    reject: Mapping[int, str],
    at: Callable[[int], object],
) -> pa.RecordBatch:
    """As `score_batch`, after each record was tried on its own: where one of them killed an earlier process.

    Args:
        family: The score.
        documents: A batch.
        number: The score's place among those of the task.
        first: Ordinal of the batch's first record.
        reject: Reasons by ordinal; records under `SCORING * (number + 1)` and their own get no value of this score.
        at: Told which record is tried next.
    """
    base = SCORING * (number + 1) + first
    killing = pa.array([base + row in reject for row in range(documents.num_rows)], pa.bool_())
    place = documents.schema.get_field_index("text")
    text = pa.compute.if_else(killing, pa.scalar(None, documents.schema.field(place).type), documents.column(place))
    spared = documents.set_column(place, documents.schema.field(place), text)
    for row in range(documents.num_rows):
        at(base + row)
        if text[row].is_valid:
            score_batch(family, spared.slice(row, 1))
    at(-1)
    return score_batch(family, spared)
