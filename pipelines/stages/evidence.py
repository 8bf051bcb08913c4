"""Evidence: where the store keeps what decided about each document, told beside a result for those who ask later.

It names places in a store, which depend on where files are, so it stands in `OUT/.build` and not in the manifest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..files import store
from ..files.parts import Part, Store

_FILE = (".build", "evidence.json")


@dataclass(frozen=True)
class Evidence:
    """What the store still knows of a result.

    Attributes:
        out: Folder of the result.
        manifest: Its manifest.
        place: The store.
        parts: Its parts; the ledger of a recipe has a file for each, row by row.
        said: What `tell` wrote.
    """

    out: str
    manifest: dict[str, Any]
    place: Store
    parts: tuple[Part, ...]
    said: dict[str, Any]

    @property
    def clusters(self) -> str:
        """Folder of the clusters."""
        return self.place.path(self.said["clusters"])

    def choices(self, recipe: str) -> str:
        """Folder of what a recipe chose."""
        return self.place.path(self.said["recipes"][recipe]["choices"])

    def ladder(self, recipe: str) -> str:
        """Folder of a recipe's ladder."""
        return self.place.path(self.said["recipes"][recipe]["ladder"])

    def task(self, recipe: str, ordinal: int) -> dict[str, Any]:
        """A part as the workers that chose for a recipe were told of it."""
        excluded = self.said["excluded"]
        told = {
            **self.said["recipes"][recipe]["recipe"],
            "clusters": self.clusters,
            "excluded": excluded and self.place.path(excluded),
        }
        part = self.parts[ordinal]
        return {
            "store": self.place.root,
            "part": part.to_json(),
            "ordinal": ordinal,
            "source_ordinal": self.said["sources"].index(part.source),
            "recipe": told,
        }


def tell(out: str, said: dict[str, Any]) -> None:
    """Write where everything is.

    Args:
        out: Folder of the result.
        said: `fingerprint` (the manifest's), `store` (its root), and below it `listing`, `clusters`, `excluded` (or
            None) and `index`; `sources` (names, in order), `scores` (by name: `fingerprint`, `type`, `label`, `value`),
            `dedup` (as the manifest has it), `edits`, and `recipes`, each with `choices`, `ladder` and `recipe`.
    """
    path = store.join(out, *_FILE)
    if not store.exists(path) or store.read_json(path) != said:
        store.write_json(path, said)


def open_evidence(out: str, manifest: dict[str, Any]) -> Evidence | None:
    """Where the store keeps what decided; None where it is gone, or the build was another one.

    Args:
        out: Folder of a result.
        manifest: Its manifest.
    """
    path = store.join(out, *_FILE)
    try:
        said = store.read_json(path) if store.exists(path) else {}
        if said.get("fingerprint") != manifest["fingerprint"]:
            return None
        for root in (store.join(out, ".store"), said["store"]):  # a folder may have been moved with its store inside
            listing = store.join(root, said["listing"])
            if store.exists(listing):
                parts = tuple(Part(**part) for part in store.read_json(listing)["parts"])
                return Evidence(out, manifest, Store(root), parts, said)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return None
