"""Records that could be read but not encoded: the ledger rejects them, and people want them told from damaged ones."""

from __future__ import annotations

import re
from typing import Any

REFUSED = "refused"
"""Their own bin in cards and reports; in the ledger they are `rejected`, with how the tokenizer's process ended."""

WORDS = "rejected: ended the tokenizer's process"

_HOW = re.compile(r"encoding (crashed|timed out|ran out of memory|ended with status)")


def told_apart(outcomes: dict[str, Any]) -> dict[str, Any]:
    """A source's outcomes, with `refused` beside `rejected`.

    Args:
        outcomes: By name, `records` and `reasons` (records by reason), as the manifest has them.

    >>> told_apart({"rejected": {"records": 3, "reasons": {"encoding timed out": 1, "empty": 2}}})["refused"]
    {'records': 1, 'reasons': {'encoding timed out': 1}}
    """
    reasons = outcomes["rejected"]["reasons"]
    refused = {reason: records for reason, records in reasons.items() if _HOW.match(reason)}
    count = sum(refused.values())
    rest = {reason: records for reason, records in reasons.items() if reason not in refused}
    rejected = outcomes["rejected"] | {"records": outcomes["rejected"]["records"] - count, "reasons": rest}
    return outcomes | {"rejected": rejected, REFUSED: {"records": count, "reasons": refused}}
