"""Byte-level BPE of OpenAI's `tiktoken`, from a `.tiktoken` rank file or by an encoding's name.

tiktoken is not among the packages that TokenLadder requires; it is imported when a study names it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .control_tokens import choose_end_of_document, explained
from .protocol import JSON, Ids, Offsets, Texts, check_texts, gather, in_batches, smallest_dtype, text_ids

if TYPE_CHECKING:
    import tiktoken

VERSION = 1

END_OF_TEXT = "<|endoftext|>"

SLICE = 1 << 16
"""Characters a time in a document on which the pattern gives up. o200k's pattern takes 400,000 spaces in a row, but not
a million."""


class TiktokenTokenizer:
    """An encoding of tiktoken, used for plain text only: the names of its special tokens are encoded as text."""

    def __init__(self, encoding: tiktoken.Encoding, end_of_document: str | int | None = None) -> None:
        """Take an encoding.

        Args:
            encoding: made by `encoding_from_ranks` or `encoding_by_name`.
            end_of_document: one of its special tokens, or its id; None for a well-known one.

        Raises:
            ValueError: no such special token.
        """
        self._encoding = encoding
        specials = {name: encoding.encode_single_token(name) for name in sorted(encoding.special_tokens_set)}
        self.vocabulary_size: int = encoding.n_vocab
        self.dtype: np.dtype[Any] = smallest_dtype(self.vocabulary_size)
        self.end_of_document: int = choose_end_of_document(end_of_document, specials)

    def encode(self, texts: Texts) -> tuple[Offsets, Ids]:
        """Encode a column; see `Tokenizer.encode`."""
        check_texts(texts)
        return gather((self._encode_one(text) for batch in in_batches(texts) for text in batch), self.dtype)

    def decode(self, ids: NDArray[Any]) -> str:
        """Join the tokens' bytes; ones that are not UTF-8, as where a sequence was cut, become U+FFFD."""
        with explained("These ids hold one that the encoding leaves unused"):
            return self._encoding.decode(text_ids(ids, self.vocabulary_size, self.end_of_document))

    def identity(self) -> dict[str, JSON]:
        """Name the encoding by a SHA-256 over its tokens and pattern, and the library by its version."""
        from importlib.metadata import version  # 10 ms, needed once a build

        digest = hashlib.sha256(self._encoding._pat_str.encode())  # noqa: SLF001 -- there is no public name for it
        for number in range(self.vocabulary_size):
            try:
                token = self._encoding.decode_single_token_bytes(number)
            except KeyError:
                continue  # encodings leave gaps between ranks and special tokens
            digest.update(b"%d %d " % (number, len(token)) + token)
        return {
            "type": "tiktoken",
            "version": VERSION,
            "sha256": digest.hexdigest(),
            "library": f"tiktoken {version('tiktoken')}",
            "end_of_document": self.end_of_document,
        }

    def _encode_one(self, text: str) -> NDArray[np.uint32]:
        try:
            with explained("The pattern backtracked past its limit"):
                return self._encoding.encode_to_numpy(text, disallowed_special=())
        except ValueError:
            # Slices are as exact to decode, and equal on every machine.
            slices = [text[start : start + SLICE] for start in range(0, len(text), SLICE)]
            return np.concatenate([self._encoding.encode_to_numpy(part, disallowed_special=()) for part in slices])


def encoding_from_ranks(data: bytes, pattern: str, end_of_document: str | int | None = None) -> tiktoken.Encoding:
    """Make an encoding from a rank file and a pattern, with one special token.

    Args:
        data: the file: one token a line, in base64, a space, and its rank.
        pattern: the regular expression that cuts text before merging.
        end_of_document: the id of the special token, or its name, which then gets the first id after the ranks.

    Raises:
        ValueError: a line that is not a rank, a rank twice, a byte without a token, a bad pattern, or a taken id.
    """
    ranks = _read_ranks(data)
    name = end_of_document if isinstance(end_of_document, str) else END_OF_TEXT
    number = end_of_document if isinstance(end_of_document, int) else max(ranks.values()) + 1
    if number in ranks.values():
        raise ValueError(
            f"end_of_document is {number}, which is the rank of an ordinary token; the first free id is "
            f"{max(ranks.values()) + 1}."
        )
    smallest_dtype(number + 1)
    library = _library()
    with explained(f"The pattern {pattern!r} is not a regular expression that tiktoken can read"):
        encoding: tiktoken.Encoding = library.Encoding(
            "ranks", pat_str=pattern, mergeable_ranks=ranks, special_tokens={name: number}
        )
        return encoding


def encoding_by_name(name: str) -> tiktoken.Encoding:
    """Open an encoding that tiktoken itself provides.

    tiktoken keeps its files in the folder named by `TIKTOKEN_CACHE_DIR` and fetches one that is missing.

    Raises:
        ValueError: an unknown name (lists the known ones), or a file that is neither there nor could be fetched.
    """
    library = _library()
    known = library.list_encoding_names()
    if name not in known:
        raise ValueError(f"tiktoken has no encoding {name!r}; it has {', '.join(sorted(known))}.")
    with explained(
        f"tiktoken cannot open its encoding {name!r}; put its file into the folder that TIKTOKEN_CACHE_DIR names, or "
        "give path and pattern instead"
    ):
        encoding: tiktoken.Encoding = library.get_encoding(name)
        return encoding


def _library() -> Any:
    try:
        import tiktoken  # not required unless a study names it
    except ImportError as error:
        raise ValueError("This study's tokenizer needs the package tiktoken: pip install tiktoken") from error
    return tiktoken


def _read_ranks(data: bytes) -> dict[bytes, int]:
    ranks: dict[bytes, int] = {}
    for line, content in enumerate(data.splitlines(), start=1):
        if not content.strip():
            continue
        try:
            token, rank = content.split()
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except (ValueError, binascii.Error):
            shown = content[:40].decode(errors="replace")
            raise ValueError(
                f"The file is not a .tiktoken rank file: line {line} is {shown!r}, and should be a token in base64, a "
                "space, and its rank."
            ) from None
    if min(ranks.values(), default=0) < 0 or len(set(ranks.values())) != len(ranks):
        raise ValueError("The file is not a .tiktoken rank file: a rank is negative or stands twice.")
    missing = [byte for byte in range(256) if bytes([byte]) not in ranks]
    if missing:
        raise ValueError(
            f"The rank file has no token for {len(missing)} of the 256 single bytes (the first is {missing[0]:#04x}), "
            "so some text could not be encoded."
        )
    return ranks
