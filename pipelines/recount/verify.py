"""Verify: count again, from a result alone, everything that its manifest says.

Nothing here comes from the modules that packed the shards or wrote the ledger: both sides know the files' form and no
more. Shards and ledgers are read once, one at a time, hashed and counted; what stays in memory between them is the id
and the place of each document in the stream.
"""

from __future__ import annotations

import collections
import json
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from ..files import store
from .curricula import Order
from .ledger import Ledger
from .result_files import ID, Check, Files, Manifest, told, told_check
from .stream import Stream
from .weights import check_weights

__all__ = ["Check", "verify"]


def verify(out: str) -> list[Check]:
    """Check every promise that can be checked from a result.

    Args:
        out: Folder of the result, local, s3:// or gs://.

    Returns:
        The checks: of the manifest, of the files, of the held-out set and of each recipe. A file that is missing or
        damaged is a check that does not hold, never an error.

    Raises:
        UserError: The folder holds no result.
    """
    out = store.absolute(out)
    path = store.join(out, "manifest.json")
    if not store.exists(path):
        raise store.UserError(f"{out}: holds no manifest.json. Give the folder of a finished build.")
    try:
        raw = store.read_json(path)
    except (ValueError, RecursionError, OSError) as error:
        return [Check("Manifest", holds=False, found=f"manifest.json: cannot be read: {error}")]
    if not isinstance(raw, dict) or not {"recipes", "root_hash"} & raw.keys():
        raise store.UserError(f"{path}: is no manifest of a study. Give the folder of a finished build.")
    try:
        manifest = TypeAdapter(Manifest).validate_json(json.dumps(raw))
    except ValidationError as error:
        found = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        return [Check("Manifest", holds=False, found="manifest.json: " + told(found))]
    faults, files = collections.defaultdict[str, list[str]](list), Files(out)
    if root_hash(raw) != manifest.root_hash:
        faults["Manifest"].append(f"the root hash is {root_hash(raw)}, not {manifest.root_hash}")
    checks: list[Check] = []
    held = np.zeros(0, ID)
    if manifest.held_out is not None:
        stream = Stream(files, manifest, manifest.held_out.as_recipe(), "held out")
        checks += stream.check()
        held = np.sort(stream.documents()["id"])
    for name, recipe in manifest.recipes.items():
        stream = Stream(files, manifest, recipe, name)
        Ledger(files, manifest, stream, held).count()
        checks += stream.check()
        checks += check_weights(files, recipe, name)
    for name in manifest.curricula:
        checks += Order(files, manifest, name).check()
    faults["Files"] += files.faults
    faults["Files"] += [f"{one}: no manifest lists it" for one in files.unlisted()]
    return [
        told_check("Manifest", faults["Manifest"], f"root hash {manifest.root_hash}"),
        told_check("Files", faults["Files"], f"{len(files.listed):,} as listed, {files.bytes / 1e6:,.1f} MB; no other"),
        *checks,
    ]


def root_hash(raw: dict[str, Any]) -> str:
    """SHA-256 over the hashes of all shards and ledgers and all counts, as the manifest lists them."""
    held = raw["held_out"] or {"shards": []}
    recipes = {
        name: [
            [shard["sha256"] for shard in one["rungs"][-1]["shards"]],
            [ledger["sha256"] for ledger in one["ledger"]],
            one["counts"],
        ]
        for name, one in raw["recipes"].items()
    }
    curricula = {name: [shard["sha256"] for shard in one["shards"]] for name, one in raw.get("curricula", {}).items()}
    more = [curricula] if curricula else []
    return store.fingerprint([raw["counts"], [shard["sha256"] for shard in held["shards"]], recipes, *more])
