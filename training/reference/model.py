"""A small, readable decoder: pre-norm blocks of causal attention with rotary positions and a gated feed-forward.

RMSNorm (Zhang and Sennrich 2019), rotary positions (Su et al. 2021) and SwiGLU (Shazeer 2020), as in LLaMA (Touvron et
al. 2023). No bias, no dropout: a run is decided by its seed and its data alone.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from .shape import Shape

if TYPE_CHECKING:
    from torch import Tensor


class Norm(nn.Module):
    """Root mean square normalisation with a gain."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis."""
        return functional.rms_norm(x, (x.shape[-1],), self.gain, 1e-6)


class Block(nn.Module):
    """Attention, then a gated feed-forward, each added to what came in."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.before_attention, self.before_feed = Norm(shape.width), Norm(shape.width)
        self.attend = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.attended = nn.Linear(shape.width, shape.width, bias=False)
        self.gate = nn.Linear(shape.width, 2 * shape.hidden, bias=False)
        self.fed = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        """One block over (sequences, tokens, width)."""
        count, length, width = x.shape
        mixed = self.attend(self.before_attention(x)).view(count, length, 3, self.heads, width // self.heads)
        query, key, value = mixed.permute(2, 0, 3, 1, 4).unbind(0)
        query, key = rotate(query, rotation), rotate(key, rotation)
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=mask is None)
        x = x + self.attended(seen.transpose(1, 2).reshape(count, length, width))
        gate, up = self.gate(self.before_feed(x)).chunk(2, dim=-1)
        out: Tensor = x + self.fed(functional.silu(gate) * up)
        return out


def rotations(positions: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of rotary positions.

    Args:
        positions: Of shape (n, length); n is 1 where all sequences count alike.
        width: Of a head.

    Returns:
        Two float32 tensors of shape (n, 1, length, width / 2).
    """
    steps = torch.arange(0, width, 2, device=positions.device, dtype=torch.float32)
    angles = positions.float()[:, None, :, None] * torch.exp(steps * (-math.log(10_000.0) / width))
    return angles.cos(), angles.sin()


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Turn each pair (first half, second half) of a head's places by its position's angles."""
    cosine, sine = rotation
    first, second = x.float().chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1).to(x.dtype)


class Decoder(nn.Module):
    """The model.

    Args:
        shape: Its shape.
        seed: Of its first parameters; the same on every device, for they are drawn on the CPU.
    """

    def __init__(self, shape: Shape, seed: int = 0) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = Norm(shape.width)
        self.head = nn.Linear(shape.width, shape.vocabulary, bias=False)
        if shape.tied:
            self.head.weight = self.embedding.weight
        generator = torch.Generator().manual_seed(seed)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                scale = 0.02 if name.startswith(("embedding", "head")) else weight.shape[1] ** -0.5
                if name.endswith(("attended.weight", "fed.weight")):
                    scale /= math.sqrt(2 * shape.layers)  # so that the sum of all blocks does not grow with them
                nn.init.normal_(weight, std=scale, generator=generator)

    def forward(self, ids: Tensor, labels: Tensor, positions: Tensor | None = None, mask: Tensor | None = None) -> Any:
        """The sum of the loss over all labels, in nats.

        Args:
            ids: int64 of shape (n, length).
            labels: int64 of the same shape; -100 for those to leave out.
            positions: Positions of the tokens, of the same shape; 0, 1, … by default.
            mask: bool of shape (n, length, length): which tokens each one sees; all earlier ones by default.

        Returns:
            A float32 scalar.
        """
        if positions is None:
            positions = torch.arange(ids.shape[1], device=ids.device)[None]
        rotation = rotations(positions, self.shape.width // self.shape.heads)
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x, rotation, None if mask is None else mask[:, None])
        logits = self.head(self.norm(x)).float()
        return functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")
