"""The `[tokenizer]` section of a study, one frozen dataclass for each `type`.

No tokenizer library is imported here: a study can be read and planned without one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

MODELS = ("bpe", "unigram")
PATTERNS = ("cl100k", "gpt2")
SMALLEST_TRAINED = 300
"""3 control pieces, 256 pieces for single bytes, and room for some characters."""

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(B|kB|KB|MB|GB)?\s*")
_FACTOR = {None: 1, "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9}


def parse_bytes(size: str | int) -> int:
    """Read a size such as "20MB" (decimal units) as a number of bytes.

    Raises:
        ValueError: the text is not a size, or the size is not positive.

    >>> parse_bytes("20MB"), parse_bytes("1.5 kB"), parse_bytes(300)
    (20000000, 1500, 300)
    """
    match = _SIZE.fullmatch(str(size))
    if match is None:
        raise ValueError(f'{size!r} is not a size in bytes; write it like "20MB", "500kB" or 20000000.')
    whole = round(float(match[1]) * _FACTOR[match[2]]) if "." in match[1] else int(match[1]) * _FACTOR[match[2]]
    if whole < 1:
        raise ValueError(f'A size must be at least one byte, not {size!r}; write it like "20MB".')
    return whole


def check_sample(size: str | int, vocabulary: int) -> None:
    """Refuse a sample of which no such vocabulary can be trained: each id but the given ones is seen in it.

    Raises:
        ValueError: it is no size, or fewer bytes than the vocabulary has ids of its own.
    """
    least = vocabulary - SMALLEST_TRAINED
    if parse_bytes(size) < least:
        raise ValueError(
            f"train.bytes is {size}, too little text for a vocabulary of {vocabulary:,}: {least:,} bytes at the very "
            'least, and some megabytes for a useful one. Write bytes = "20MB".'
        )


def check_vocabulary(size: int) -> None:
    """Refuse a vocabulary that cannot be trained.

    Raises:
        ValueError: it has no room beside the single bytes, or is larger than any in use.
    """
    if not SMALLEST_TRAINED <= size <= 1_000_000:
        raise ValueError(
            f"train.vocabulary is {size}; it must be between {SMALLEST_TRAINED} (256 ids are taken by single bytes) "
            "and 1,000,000."
        )


@dataclass(frozen=True)
class TrainSentencePiece:
    """How to train a SentencePiece model on the study's own text.

    Attributes:
        vocabulary: ids in all, with 3 control pieces and 256 for single bytes; exactly so many are made.
        model: "bpe", or "unigram" (Kudo 2018), which takes about ten times as long to train, and encodes several
            times faster.
        bytes: how much text to train on, in UTF-8 bytes, as a number or like "20MB". The rest is not read.
        character_coverage: share of the sample's characters that get a piece of their own; rarer ones are spelled as
            their bytes, so that nothing is lost.
        split_digits: make every digit a token of its own.
        recipe: the recipe of the study whose text it is trained on; by default the first one. Strata have the shares
            of its weights, as far as there is text; what may be held out is left out.
    """

    vocabulary: int = 8000
    model: Literal["bpe", "unigram"] = "bpe"
    bytes: str | int = "20MB"
    character_coverage: float = 0.9995
    split_digits: bool = True
    recipe: str | None = None

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        """Check the values."""
        check_vocabulary(self.vocabulary)
        if self.model not in MODELS:
            raise ValueError(f'train.model is {self.model!r}; it must be "bpe" or "unigram".')
        if not 0.9 <= self.character_coverage <= 1:
            raise ValueError(f"train.character_coverage is {self.character_coverage}; it must be between 0.9 and 1.")
        check_sample(self.bytes, self.vocabulary)

    @property
    def sample_bytes(self) -> int:
        """The size of the sample in bytes."""
        return parse_bytes(self.bytes)


@dataclass(frozen=True)
class SentencePieceSection:
    """A SentencePiece model: a file, or one trained on the study's text.

    Attributes:
        path: the `.model` file, relative to the study's folder.
        train: how to train one instead.
        end_of_document: a control piece, or its id; without it, the model's end-of-sentence piece.
    """

    type: Literal["sentencepiece"] = "sentencepiece"
    path: str | None = None
    train: TrainSentencePiece | None = None
    end_of_document: str | int | None = None

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        """Check that there is one origin."""
        if (self.path is None) == (self.train is None):
            raise ValueError(
                'A SentencePiece tokenizer needs either path = "….model" or train = { vocabulary = 8000 }, '
                f"and {'neither' if self.path is None else 'both'} are given."
            )


@dataclass(frozen=True)
class TrainHuggingFace:
    """How to train a byte-level BPE (Radford et al. 2019) on the study's own text, as a `tokenizer.json`.

    Attributes:
        vocabulary: ids in all, with 256 for single bytes and one for the end of a document; exactly so many are made.
        bytes: how much text to train on, in UTF-8 bytes, as a number or like "20MB". The rest is not read.
        pattern: the published regular expression that cuts text before merging: "cl100k", in which digits come in
            groups of at most three and line ends stay together, or "gpt2".
        recipe: the recipe of the study whose text it is trained on; by default the first one. Strata have the shares
            of its weights, as far as there is text; what may be held out is left out.
    """

    vocabulary: int = 32000
    bytes: str | int = "20MB"
    pattern: Literal["cl100k", "gpt2"] = "cl100k"
    recipe: str | None = None

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        """Check the values."""
        check_vocabulary(self.vocabulary)
        if self.pattern not in PATTERNS:
            raise ValueError(f'train.pattern is {self.pattern!r}; it must be "cl100k" or "gpt2".')
        check_sample(self.bytes, self.vocabulary)

    @property
    def sample_bytes(self) -> int:
        """The size of the sample in bytes."""
        return parse_bytes(self.bytes)


@dataclass(frozen=True)
class HuggingFaceSection:
    """A tokenizer of Hugging Face's `tokenizers`: a file, or one trained on the study's text.

    Attributes:
        path: the `tokenizer.json` file, relative to the study's folder.
        train: how to train one instead.
        end_of_document: a token of the vocabulary, or its id; without it, a well-known one is looked for.
    """

    path: str | None = None
    train: TrainHuggingFace | None = None
    type: Literal["huggingface"] = "huggingface"
    end_of_document: str | int | None = None

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        """Check that there is one origin."""
        if (self.path is None) == (self.train is None):
            raise ValueError(
                'A Hugging Face tokenizer needs either path = "tokenizer.json" or train = { vocabulary = 32000 }, '
                f"and {'neither' if self.path is None else 'both'} are given."
            )


@dataclass(frozen=True)
class TiktokenSection:
    """A byte-level BPE of OpenAI's `tiktoken`: a rank file with its pattern, or a named encoding.

    Attributes:
        path: the `.tiktoken` file of ranks, relative to the study's folder.
        pattern: the regular expression that cuts text before merging; it is not in the file.
        encoding: a name that the installed tiktoken knows, such as "o200k_base", whose file tiktoken's cache holds.
        end_of_document: with `path`, the id of the token (the first id after the ranks without it) or its name; with
            `encoding`, one of its special tokens.
    """

    type: Literal["tiktoken"] = "tiktoken"
    path: str | None = None
    pattern: str | None = None
    encoding: str | None = None
    end_of_document: str | int | None = None

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        """Check that there is one origin, whole."""
        if (self.path is None) == (self.encoding is None):
            raise ValueError(
                'A tiktoken tokenizer needs either path = "….tiktoken" with a pattern, or encoding = "o200k_base", '
                f"and {'neither' if self.path is None else 'both'} are given."
            )
        if (self.path is None) != (self.pattern is None):
            raise ValueError(
                "path and pattern go together: a .tiktoken file holds only ranks, so the regular expression that cuts "
                "text before merging must be given beside it; a named encoding brings its own."
            )


@dataclass(frozen=True)
class BytesSection:
    """Every byte of the UTF-8 text is a token; 257 ids, no file."""

    type: Literal["bytes"] = "bytes"

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}


TokenizerSection: TypeAlias = SentencePieceSection | HuggingFaceSection | TiktokenSection | BytesSection
"""The union, discriminated by `type`."""
