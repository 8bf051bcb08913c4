"""Export: a rung of a finished build in another form. `export.json` beside it says what it is and is written last."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Any

from ..ask.rungs import open_result
from ..files import store
from . import samples as export_samples
from . import text as export_text
from . import tokens as export_tokens

TEXTS = {"jsonl.zst": export_text.write_jsonl, "parquet": export_text.write_parquet}
TOKENS = {
    "nanogpt": export_tokens.write_nanogpt,
    "megatron": export_tokens.write_megatron,
    "mds": export_samples.write_mds,
    "litdata": export_samples.write_litdata,
}
FORMATS = (*TEXTS, *TOKENS)

SAYS = "export.json"
BEGUN = ".export.json"
"""Stands while an export is not finished: the same command goes on."""


def export(out: str, name: str, form: str, folder: str) -> dict[str, Any]:
    """Write a rung in another form.

    Args:
        out: Folder of a finished build.
        name: The rung: RECIPE-RUNG, RECIPE (its largest rung), a curriculum or `held_out`.
        form: One of `FORMATS`.
        folder: Where to. New, empty, or of the same export: then nothing is done if that one is whole.

    Returns:
        What `export.json` says: `rung`, `format`, `study`, `root_hash`, `tokens`, `sequence_length`, `tokenizer`,
        `files` (each with `path`, `bytes`, `sha256`), and for texts `texts`, see `export_text.TextCounts`.

    Raises:
        UserError: There is no such build or rung, or the folder holds something else.
        OSError: A file of the build is missing or damaged, or cannot be written.
    """
    result = open_result(out)
    rung = result.rung(name)
    folder = store.absolute(folder)
    if form in TOKENS and store.is_remote(folder):
        raise store.UserError(f"--out {folder}: {form} is written to local disks only. Copy the files from there.")
    of = result.manifest
    identity = {"rung": rung.name, "format": form, "study": of.name, "root_hash": of.root_hash}
    if _is_done(folder, identity):
        return store.read_json(store.join(folder, SAYS))  # type: ignore[no-any-return] # a dict, as written below
    store.write_json(store.join(folder, BEGUN), identity)
    said: dict[str, Any] = {
        **identity,
        "tokens": rung.tokens,
        "sequence_length": of.sequence_length,
        "tokenizer": asdict(of.tokenizer),
    }
    if form in TEXTS:
        files, counts = TEXTS[form](result, rung, folder)
        said["texts"] = asdict(counts)
    else:
        files = TOKENS[form](result, rung, folder)
    said["files"] = [_file(folder, one) for one in files]
    store.write_json(store.join(folder, SAYS), said)
    store.remove(store.join(folder, BEGUN))
    return said


def _is_done(folder: str, identity: dict[str, Any]) -> bool:
    """Whether this export stands in the folder.

    Raises:
        UserError: Something else does.
    """
    here = store.names(folder)
    for name in (SAYS, BEGUN):
        if name in here:
            try:
                found = store.read_json(store.join(folder, name))
                same = all(found[key] == value for key, value in identity.items())
            except (ValueError, KeyError, TypeError):
                same = False
            if same:
                return name == SAYS
    if here:
        shown = ", ".join(sorted(here)[:3])
        raise store.UserError(
            f"--out {folder}: holds files of something else ({shown}). Name an empty or new folder for this export."
        )
    return False


def _file(folder: str, name: str) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    with store.open_input(store.join(folder, name)) as file:
        while data := file.read(1 << 22):
            digest.update(data)
            size += len(data)
    return {"path": name, "bytes": size, "sha256": digest.hexdigest()}
