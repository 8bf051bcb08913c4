"""Scores as workers use them: built from what a task says, and with errors for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ... import filters
from ...filters.measures.functions import FunctionError
from ..engines.child import SCORING
from ..files import store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...filters.family import Family
    from ..engines.care import Care


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


def score_carefully(
    family: Family, documents: pa.RecordBatch, number: int, first: int, care: Care
) -> tuple[pa.RecordBatch, dict[int, str]]:
    """As `score_batch`, with care: a document that ends processes has no value of this score.

    Args:
        family: The score.
        documents: A batch.
        number: The score's place among those of the task.
        first: Ordinal of the batch's first record.
        care: How carefully; the ordinal of a record on its own has `SCORING * (number + 1)` added to it.

    Returns:
        The columns; and the rows of the batch that have no values for that reason, each with how it killed.
    """
    base, rows = SCORING * (number + 1) + first, range(documents.num_rows)
    killed = care.killed(base, rows)
    if killed:
        place = documents.schema.get_field_index("text")
        field, killing = documents.schema.field(place), pa.array([row in killed for row in rows], pa.bool_())
        text = pa.compute.if_else(killing, pa.scalar(None, field.type), documents.column(place))
        documents = documents.set_column(place, field, text)
    scored = care.run(lambda some: score_batch(family, some), documents, base, rows, number)
    if len(scored) == 1:
        return scored[0], killed
    return pa.Table.from_batches(scored).combine_chunks().to_batches()[0], killed
