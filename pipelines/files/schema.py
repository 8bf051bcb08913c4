"""Column names and Arrow schemas, spelled once.

A *part* is one Parquet file of documents made from one slice of one raw input. It holds one row for every record that
was read, so that rows sum to records: a record that gave no document has `text` null and says why in `outcome` and
`reason`.
"""

from __future__ import annotations

import pyarrow as pa

ID_BYTES = 16
"""A document's id is BLAKE2b with a 16-byte digest over its text's UTF-8 bytes."""

DOCUMENTS = pa.schema(
    [
        pa.field("document", pa.binary(ID_BYTES)),  # null where text is null
        pa.field("text", pa.string()),
        pa.field("name", pa.string(), nullable=False),  # URL, path, or the record's own id
        pa.field("record", pa.string(), nullable=False),  # file and position, relative to the source's root
        pa.field("bytes", pa.int64(), nullable=False),  # raw bytes of the record as read
        pa.field("kind", pa.string()),  # page, plain, vendored, generated, minified
        pa.field("file_type", pa.string()),  # programming language
        pa.field("licence", pa.string()),  # path of the nearest licence file
        pa.field("licence_id", pa.string()),  # SPDX expression of what that file says
        pa.field("date", pa.string()),  # ISO 8601, as the record gives it
        pa.field("hidden", pa.float32()),  # share of a page's characters that a browser hides
        pa.field("payload", pa.string()),  # whether a page is what the crawler's digest says: same, other, unknown
        pa.field("view", pa.string()),  # the same of a list of addresses and hashes
        pa.field("outcome", pa.string()),  # null for a document, else DROPPED or REJECTED
        pa.field("reason", pa.string()),
    ]
)

PART = DOCUMENTS.append(pa.field("text_bytes", pa.int64(), nullable=False))
"""A part as it is stored: with the UTF-8 bytes of each text, so that choosing never reads text."""

KEPT = "kept"
DROPPED = "dropped"
DUPLICATE = "duplicate"
OVER_BUDGET = "over_budget"
HELD_OUT = "held_out"
REJECTED = "rejected"
OUTCOMES = (KEPT, DROPPED, DUPLICATE, OVER_BUDGET, HELD_OUT, REJECTED)
"""The bins of the ledger: every record read is in exactly one."""

REPEATED_LINES = pa.schema(
    [
        pa.field("lines", pa.int32()),
        pa.field("repeated_lines", pa.int32()),
        pa.field("repeated_bytes", pa.int64()),  # with what ends each line
        pa.field("share", pa.float32()),  # repeated bytes out of all of the text
        pa.field("cut_lines", pa.int32()),  # repeated lines that another document keeps
        pa.field("cut_bytes", pa.int64()),
        pa.field("emptied", pa.bool_()),  # whether no other line is left
        pa.field("starts", pa.list_(pa.int32())),  # bytes of the spans to cut
        pa.field("stops", pa.list_(pa.int32())),
    ]
)
"""What of each document's text many documents repeat, row by row beside a part."""

BURSTS = pa.schema(
    [
        pa.field("phrases", pa.int32()),
        pa.field("bytes", pa.int64()),
        pa.field("share", pa.float32()),  # of the text's bytes
        pa.field("documents", pa.int32()),  # that have the phrase of it that most have; 0 without a phrase
    ]
)
"""Phrases of each document that many documents of few hosts have, row by row beside a part."""

CANDIDATE, NO_DOCUMENT, DUPLICATED, EXCLUDED = 0, -1, -2, -3
"""Codes of a choice; n > 0 is the n-th rule that dropped the document."""

EMPTIED = -4
"""Code of a document of which the cut of repeated lines leaves nothing."""

EMPTIED_REASON = "nothing but repeated lines"

KNOWN = -5
"""Code of a duplicate whose survivor an earlier study keeps."""

KNOWN_REASON = "kept by an earlier study"

CLASSES = ("1", "2", "3", "4-5", "6-10", "11-100", "101-1000", "1001+")
"""Classes of clusters by the number of their documents."""

CLASS_STARTS = (1, 2, 3, 4, 6, 11, 101, 1001)

BUCKET_BITS = 12
"""Priorities are counted by their top bits: 4,096 buckets a stratum, so a cut is 0.02 % of the pool at the finest."""

LEDGER = pa.schema(
    [
        pa.field("document", pa.string()),  # hex of the id, null for a record without a document
        pa.field("source", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("record", pa.string(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("survivor", pa.string()),  # hex of the survivor's id
        pa.field("tokens", pa.int64()),  # set where the document stands in the stream
        pa.field("first_rung", pa.string()),
        pa.field("masks", pa.map_(pa.string(), pa.int32())),  # masks of each kind in a text that stands in the stream
    ]
)
