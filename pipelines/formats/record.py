"""What every format yields: one `Record` for each thing read, and the errors that readers speak in."""

from __future__ import annotations

import dataclasses

from ..files.schema import DROPPED, REJECTED

_Bytes = bytes  # `bytes` is a field below

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class ReadError(OSError):
    """A file cannot be read now (permission, lost connection, bad disk); the run stops and can be resumed."""


class CorruptError(ValueError):
    """The bytes of a file are not what its format promises; the message is the reason that the ledger shows."""


@dataclasses.dataclass(slots=True)
class Record:
    """One record of a raw file: the columns of `schema.DOCUMENTS` but for the document's id, and raw HTML.

    Attributes:
        name: URL, path, or the record's own id.
        record: File and position in it, relative to the source's root.
        bytes: Raw bytes of the record (after decompression of the file, before that of an HTTP body).
        text: Text as read; documents() makes it valid and checks its length.
        html: A page that is still to be extracted; then `text` is None.
        charset: Character encoding that the transport gave for `html`.
        kind: page, plain, vendored, generated or minified; None where the format does not say.
        file_type: Programming language.
        licence: Relative path of the nearest licence file.
        licence_id: SPDX expression of what that file says.
        date: As the record gives it.
        hidden: Share of a page's characters that a browser hides; None where no one looked.
        payload: What a crawl's digest says of the page: same, other, or unknown; None where there are no digests.
        view: The same of the study's list of addresses and hashes; None without a list.
        outcome: None for a document, else `schema.DROPPED` or `schema.REJECTED`.
        reason: Why there is no document.
    """

    name: str
    record: str
    bytes: int
    text: str | None = None
    html: _Bytes | None = None
    charset: str | None = None
    kind: str | None = None
    file_type: str | None = None
    licence: str | None = None
    licence_id: str | None = None
    date: str | None = None
    hidden: float | None = None
    payload: str | None = None
    view: str | None = None
    outcome: str | None = None
    reason: str | None = None

    def drop(self, reason: str) -> Record:
        """This record without its text, dropped by the named rule."""
        return self._without(DROPPED, reason)

    def reject(self, reason: str) -> Record:
        """This record without its text, rejected as unreadable."""
        return self._without(REJECTED, reason)

    def _without(self, outcome: str, reason: str) -> Record:
        self.text = self.html = None
        self.outcome, self.reason = outcome, reason
        return self


def valid(text: str) -> str:
    r"""Text that is valid UTF-8 and has no NUL: each lone surrogate and each NUL becomes U+FFFD.

    NUL is replaced as the HTML standard does it, because C strings in tokenizers and models end at one. A pair of
    surrogates is joined to the character that it stands for.

    >>> valid("a\x00b\ud800") == "a\ufffdb\ufffd", valid("\ud83d\ude00") == "\U0001f600"
    (True, True)
    """
    if "\0" in text:
        text = text.replace("\0", REPLACEMENT)
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def valid_name(name: str) -> str:
    r"""A file's name as text: bytes that are not UTF-8 are written out, as in `caf\xe9.py`.

    >>> valid_name("caf\udce9.py")
    'caf\\xe9.py'
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogateescape" if _escaped(name) else "replace").decode(
            "utf-8", "backslashreplace"
        )
    return name


def _escaped(name: str) -> bool:
    return all("\udc80" <= char <= "\udcff" for char in name if "\ud800" <= char <= "\udfff")
