"""The shape of a reference model: its name, its parameters, and the one that comes nearest to a wish."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from ...pipelines.files import store

HEAD = 32
"""Width of a head, at most: the width of a model is a multiple of it or smaller than it."""

_SIZE = re.compile(r"([1-9]\d{0,3})x([1-9]\d{0,5})")


@dataclass(frozen=True)
class Shape:
    """A model's shape.

    Attributes:
        layers: Blocks.
        width: Of the residual stream; even, and a multiple of 32 from 32 on.
        vocabulary: Tokens.
        tied: Whether the head is the embedding table.

    Raises:
        UserError: The width cannot be cut into heads.
    """

    layers: int
    width: int
    vocabulary: int
    tied: bool = True

    def __post_init__(self) -> None:
        if self.width % 2 or (self.width > HEAD and self.width % HEAD):
            raise store.UserError(f"{self.name}: a width is even, and a multiple of {HEAD} if it is more than that.")

    @classmethod
    def parse(cls, size: str, vocabulary: int, *, tied: bool = True) -> Shape:
        """A shape from `LAYERSxWIDTH`.

        Raises:
            UserError: The size is not written so.

        >>> Shape.parse("4x128", 8000).params_non_embedding
        791680
        """
        match = _SIZE.fullmatch(size.strip())
        if match is None:
            raise store.UserError(f"{size!r} is no size. Write LAYERSxWIDTH, such as 4x128.")
        return cls(int(match[1]), int(match[2]), vocabulary, tied)

    @property
    def name(self) -> str:
        """`LAYERSxWIDTH`."""
        return f"{self.layers}x{self.width}"

    @property
    def heads(self) -> int:
        """Heads of attention."""
        return max(1, self.width // HEAD)

    @property
    def hidden(self) -> int:
        """Width of the feed-forward: 8/3 of the model's, up to a multiple of 8."""
        return -(-8 * self.width // 24) * 8

    @property
    def params_embedding(self) -> int:
        """Parameters of the embedding table."""
        return self.vocabulary * self.width

    @property
    def params_vocabulary(self) -> int:
        """Parameters of the embedding table and of a head of its own."""
        return self.params_embedding * (1 if self.tied else 2)

    @property
    def params(self) -> int:
        """All parameters."""
        block = 4 * self.width**2 + 3 * self.width * self.hidden + 2 * self.width
        return self.params_vocabulary + self.layers * block + self.width

    @property
    def params_non_embedding(self) -> int:
        """Parameters without the embedding table, and without a head tied to it."""
        return self.params - self.params_embedding


def nearest_shape(params: float, vocabulary: int, *, tied: bool = True) -> Shape:
    """The shape whose parameters, embeddings included, come nearest to a wish; depth is about width / 32.

    Args:
        params: Wanted parameters.
        vocabulary: Tokens.
        tied: Whether the head is the embedding table.

    Raises:
        UserError: Even the smallest shape has twice as many.

    >>> nearest_shape(10e6, 8000).name
    '8x288'
    """
    widths = [8, 16, 24, *range(HEAD, 8192 + 1, HEAD)]
    shapes = [
        Shape(layers, width, vocabulary, tied)
        for width in widths
        for layers in {max(1, width // HEAD + extra) for extra in (-1, 0, 1)}
    ]
    best = min(shapes, key=lambda shape: (abs(math.log(shape.params / params)), shape.layers))
    if best.params > 2 * params:
        raise store.UserError(
            f"{params:,.0f} parameters are too few for a vocabulary of {vocabulary:,}: the smallest model has "
            f"{best.params:,}. Train a smaller tokenizer, or plan larger models."
        )
    return best
