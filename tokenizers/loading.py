"""From the `[tokenizer]` section of a study to a tokenizer, with errors that say what the file is instead."""

from __future__ import annotations

import json
import re
from pathlib import Path

from .protocol import Tokenizer
from .sections import BytesSection, HuggingFaceSection, SentencePieceSection, TiktokenSection, TokenizerSection

LARGEST_FILE = 1 << 30
"""Bytes. The largest tokenizer files in use are under 50 MB."""

FILES = {"huggingface": "tokenizer.json", "sentencepiece": "tokenizer.model", "tiktoken": "tokenizer.tiktoken"}
"""What the file of each type is called beside what was made with it; other types have none."""

_RANK_LINE = re.compile(rb"[A-Za-z0-9+/]+={0,2} \d+\r?\n")


def load(section: TokenizerSection, folder: Path) -> Tokenizer:
    """Open the tokenizer that a section names.

    Args:
        section: the section. One with `train` has no file: train it with `training.train`, and give the result to
            `load_bytes`.
        folder: what relative paths start from, the folder of the study file.

    Raises:
        ValueError: a file that is missing or not what the section says, or a tokenizer that cannot be used.

    >>> load(BytesSection(), Path(".")).vocabulary_size
    257
    """
    if getattr(section, "train", None) is not None:
        raise ValueError("This tokenizer is still to be trained on the study's text; there is no file to load.")
    if isinstance(section, BytesSection) or section.path is None:
        return load_bytes(section, b"")
    path = folder / section.path
    data = _read(path)
    try:
        return load_bytes(section, data)
    except ValueError as error:
        kind = guess_kind(data)
        hint = f' It looks like a file for type = "{kind}".' if kind not in (None, section.type) else ""
        raise ValueError(f"{path}: {error}{hint}") from error


def load_bytes(section: TokenizerSection, data: bytes) -> Tokenizer:
    """Open a tokenizer whose file has been read, or whose model has been trained, already.

    Args:
        section: says what kind it is and which token ends a document; its `path` is not looked at.
        data: the file's content; empty for bytes and for a named encoding of tiktoken.

    Raises:
        ValueError: the content is not what the section says, or a tokenizer that cannot be used.
    """
    # Each library is imported only by the studies that use it: together they take 0.1 s.
    if isinstance(section, SentencePieceSection):
        from .sentencepieces import SentencePieceTokenizer

        return SentencePieceTokenizer(data, section.end_of_document)
    if isinstance(section, HuggingFaceSection):
        from .huggingface import HuggingFaceTokenizer

        return HuggingFaceTokenizer(data, section.end_of_document)
    if isinstance(section, TiktokenSection):
        from .tiktokens import TiktokenTokenizer, encoding_by_name, encoding_from_ranks

        if section.encoding is not None:
            return TiktokenTokenizer(encoding_by_name(section.encoding), section.end_of_document)
        return TiktokenTokenizer(
            encoding_from_ranks(data, section.pattern or "", section.end_of_document), section.end_of_document
        )
    from .raw_bytes import ByteTokenizer

    return ByteTokenizer()


def guess_kind(data: bytes) -> str | None:
    r"""Say which `type` a file's content is for, as far as its first bytes show.

    >>> guess_kind(b"IQ== 0\nIg== 1\n")
    'tiktoken'
    """
    if data[:1] == b"{":
        try:
            return "huggingface" if "model" in json.loads(data) else None
        except (ValueError, RecursionError):
            return None
    if _RANK_LINE.match(data):
        return "tiktoken"
    # A serialised ModelProto: field 1, a message that is the first piece; <unk> is among the first pieces.
    if data[:1] == b"\x0a" and b"<unk>" in data[:4096]:
        return "sentencepiece"
    return None


def _read(path: Path) -> bytes:
    if path.is_dir():
        raise ValueError(f"{path} is a folder; the tokenizer's path must name a file in it.")
    if not path.exists():
        raise ValueError(f"{path} does not exist; the tokenizer's path is relative to the study's folder.")
    if path.stat().st_size > LARGEST_FILE:
        raise ValueError(f"{path} has {path.stat().st_size:,} bytes; a tokenizer has at most {LARGEST_FILE:,}.")
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from error
