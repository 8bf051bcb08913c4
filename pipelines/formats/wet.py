"""WET files: WARC conversion records that hold the text of a page, as Common Crawl gives it."""

from __future__ import annotations

from .warc import records

__all__ = ["records"]
