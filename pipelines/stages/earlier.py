"""Earlier studies: what they train on or hold out counts as kept, and their signatures are read, not computed again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..files import store
from ..files.parts import Part, Store

_POOL = (".build", "pool.json")


@dataclass(frozen=True)
class Earlier:
    """One earlier build.

    Attributes:
        out: Its folder.
        identity: Its root hash.
        place: The store that holds its parts and signatures.
        parts: Its parts, in order.
        ledgers: For each part, the ledgers of all recipes.
    """

    out: str
    identity: str
    place: Store
    parts: tuple[Part, ...]
    ledgers: tuple[tuple[str, ...], ...]

    def tasks(self, first: int, source_ordinal: int, common: dict[str, Any]) -> list[dict[str, Any]]:
        """One task for each part, numbered from `first`, as a pool gives them."""
        return [
            {
                "store": self.place.root,
                "part": part.to_json(),
                "ordinal": first + n,
                "source_ordinal": source_ordinal,
                **common,
                "ledgers": list(ledgers),
            }
            for n, (part, ledgers) in enumerate(zip(self.parts, self.ledgers, strict=True))
        ]


def tell_pool(out: str, listing: str) -> None:
    """Let later studies find the signatures of this one.

    What names them depends on where files are, so it stands beside the result, not in its manifest.

    Args:
        out: Folder of the result.
        listing: Path of the list of its parts, below the store.
    """
    path, value = store.join(out, *_POOL), {"listing": listing}
    if not store.exists(path) or store.read_json(path) != value:
        store.write_json(path, value)


def open_earlier(out: str, families: dict[str, str], mine: Store) -> Earlier:
    """Open an earlier build to cluster against.

    Args:
        out: Its folder.
        families: Fingerprint of each family that is read from it, by what people call it.
        mine: The store of this study, looked at where the earlier build's folder has none.

    Raises:
        UserError: It is no finished build, it compared documents otherwise, or its store is gone.
    """
    path = store.join(out, "manifest.json")
    try:
        manifest = store.read_json(path)
        dedup = manifest["dedup"]
        root_hash, recipes = manifest["root_hash"], manifest["recipes"]
    except FileNotFoundError as error:
        raise store.UserError(f"{path}: there is no such file. Name the folder of a finished build") from error
    except (ValueError, KeyError, TypeError) as error:
        raise store.UserError(
            f"{path}: is no manifest of a build that can be compared with: {error.__cause__ or error!r}"
        ) from error
    for what, fingerprint in families.items():
        if dedup[what] != fingerprint:
            found = "has none" if not dedup[what] else "made them with other parameters"
            decisive = ("unit", "ngram", "bands", "rows", "containment")  # the last decides whether there are sketches
            settings = {key: value for key, value in dedup.items() if key in decisive}
            raise store.UserError(
                f"{out}: its {what} cannot be compared with: it {found}. Give [dedup] the parameters that it has: "
                f"{settings}"
            )
    named = store.join(out, *_POOL)
    for place in (Store(store.join(out, ".store")), mine):
        listing = place.path(store.read_json(named)["listing"]) if store.exists(named) else ""
        if listing and store.exists(listing):
            break
    else:
        raise store.UserError(
            f"{out}: its store is not there: neither {out}/.store nor {mine.root} holds its signatures. Build this "
            "study with the same --store, or that one again"
        )
    parts = tuple(Part(**part) for part in store.read_json(listing)["parts"])
    ledgers = tuple(
        tuple(store.join(out, recipe["ledger"][n]["path"]) for recipe in recipes.values()) for n in range(len(parts))
    )
    return Earlier(out, root_hash, place, parts, ledgers)
