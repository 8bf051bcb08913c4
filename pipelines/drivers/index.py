"""The driver's side of the index by which documents are found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..files import store
from ..stages import lookup
from .pool import STAGES

if TYPE_CHECKING:
    from .pool import Pool

IN_DRIVER = 100_000
"""Records that the driver indexes itself, in half a second; a pipeline takes a second to start."""


def index_pool(pool: Pool) -> str:
    """Index the ids and names of the pool, unless that was done before.

    Returns:
        The folder of the index.
    """
    folder = pool.store.path("indexes", store.fingerprint([lookup.VERSION, pool.identity]))
    if store.exists(store.join(folder, "done.json")):
        return folder
    records = sum(part.rows for part in pool.parts)
    files = 1 + records // lookup.DOCUMENTS_PER_FILE
    module = f"{STAGES}.lookup"
    volume = records * (2 + len(lookup.COMPONENTS)) * lookup.ENTRY.itemsize
    tasks = pool.tasks(files=files)
    if records <= IN_DRIVER:
        entries = [data for task in tasks for _, data in lookup.emit_entries(task)]
        list(lookup.sort_entries(0, entries, {"folder": folder}))
    else:
        with pool.report.stage("index", files, lambda: len(store.names(folder))):
            reduces = [(f"{module}:sort_entries", {"folder": folder})]
            pool.engine.exchange("index", f"{module}:emit_entries", reduces, tasks, volume)
    store.write_json(store.join(folder, "done.json"), {"files": files})
    return folder
