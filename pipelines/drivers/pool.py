"""The pool: all parts of a study, and how work over them is run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..files import store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..engines.engine import Engine
    from ..files.parts import Part, Store
    from ..watch.progress import Reporter

STAGES = "tokenladder.pipelines.stages"

DOCUMENTS_PER_RANGE = 1 << 14
"""Documents for each range of hashes in an exchange: 15 band records of 16 bytes make 4 MB a group, and several times
that while it is sorted."""


class BuildError(Exception):
    """A build cannot go on for a reason that lies in the data; exit status 1."""


@dataclass(frozen=True)
class Pool:
    """What the stages after reading share.

    Attributes:
        store: The store.
        parts: All parts, in order; a part's number is its place here.
        identity: Fingerprint of the list of parts.
        sources: Names of the sources, in order.
        engine: Runs the work.
        report: Says what is done.
        tokenizer: `fingerprint`, `section` and `model` as workers need them; empty until it is known.
        dtype: Of token ids; empty until the tokenizer is known.
        input_ids: How shards keep them: `list` or `binary`.
        cut: Fingerprint of the repeated lines that are cut out of the text; empty where none are.
        cut_bytes: What that takes of all text.
        reserved: Folder of the rows of each part that the tokenizer was not trained on because they could be held out;
            empty where nothing is held out, or no tokenizer trained.
        masks: Fingerprint of each score whose finds are masked in the text, and the names of their kinds.
    """

    store: Store
    parts: Sequence[Part]
    identity: str
    sources: Sequence[str]
    engine: Engine
    report: Reporter
    tokenizer: dict[str, Any] = field(default_factory=dict)
    dtype: str = ""
    input_ids: str = "list"
    cut: str = ""
    cut_bytes: int = 0
    reserved: str = ""
    masks: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def edits(self) -> dict[str, Any]:
        """What is changed in the text that is encoded, as plain values; empty where nothing is."""
        cut = {"cut": self.cut} if self.cut else {}
        return cut | ({"masks": [[score, list(names)] for score, names in self.masks]} if self.masks else {})

    @property
    def documents(self) -> int:
        """Documents in all parts."""
        return sum(part.documents for part in self.parts)

    @property
    def ranges(self) -> int:
        """Ranges of hashes that bound the groups of an exchange."""
        return max(1, self.documents // DOCUMENTS_PER_RANGE)

    def listing(self) -> str:
        """The path of a file that lists the parts, for workers that need them all."""
        path = self.store.path("pools", f"{self.identity}.json")
        if not store.exists(path):
            store.write_json(path, {"parts": [part.to_json() for part in self.parts]})
        return path

    def tasks(self, **more: Any) -> list[dict[str, Any]]:
        """One task for each part."""
        number = {name: n for n, name in enumerate(self.sources)}
        return [
            {
                "store": self.store.root,
                "part": part.to_json(),
                "ordinal": n,
                "source_ordinal": number[part.source],
                **more,
            }
            for n, part in enumerate(self.parts)
        ]

    def run_missing(
        self, label: str, target: str, tasks: Sequence[tuple[str, dict[str, Any]]], *, isolated: bool = False
    ) -> None:
        """Run a function for those tasks whose file does not stand yet.

        Args:
            label: The stage's name, for people.
            target: `module:function`.
            tasks: The path of the file that a task writes last, and its payload.
            isolated: Whether to run in child processes.
        """
        listed = {folder: store.names(folder) for folder in {path.rpartition("/")[0] for path, _ in tasks}}
        todo = [(path, task) for path, task in tasks if not _stands(path, listed)]

        def done() -> int:
            now = {folder: store.names(folder) for folder in {path.rpartition("/")[0] for path, _ in todo}}
            return sum(_stands(path, now) for path, _ in todo)

        with self.report.stage(label, len(todo), done):
            self.engine.each(label, target, [task for _, task in todo], isolated=isolated)


def _stands(path: str, listed: dict[str, set[str]]) -> bool:
    folder, _, name = path.rpartition("/")
    return name in listed[folder]


def numbered(folder: str, ordinal: int) -> str:
    """The file of a part in a folder that has one for each.

    >>> numbered("/store/choices/0a", 7)
    '/store/choices/0a/0000007.parquet'
    """
    return store.join(folder, f"{ordinal:07d}.parquet")
