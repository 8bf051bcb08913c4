"""The section of a study that looks for bursts of one phrase."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from ..files.schema import BURSTS


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Bursts:
    """Phrases that many documents of few hosts have, between other words in each. Rules may speak of `bursts`.

    Attributes:
        words: Words that documents must have in common, one after the other; a shorter phrase is not found, nor one
            of fewer than five bytes for each of these words.
        min_documents: Documents that have them at least; near duplicates count as one.
        max_hosts: Hosts that these documents are of at most. A document without one stands for a host of its own.
        max_alike: How often two of the documents may have the same word before the phrase, and after it: a share of
            the pairs of documents that have a word there. Half of them must have one, and not the border of a line.
            Where a phrase belongs to a template, or to a language that few hosts are written in, it is larger.
    """

    words: Annotated[int, Field(ge=2, le=64)] = 6
    min_documents: Annotated[int, Field(ge=2)] = 20
    max_hosts: Annotated[int, Field(ge=1)] = 3
    max_alike: Annotated[float, Field(ge=0, le=1)] = 0.05

    LABEL: ClassVar[str | None] = None
    VALUE: ClassVar[str | None] = "phrases"
    columns: ClassVar[Any] = BURSTS
