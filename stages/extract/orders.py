"""Orders in which one operation may give what another gives: gates, heads, a feature map read channel-first.

They are hypotheses, likeliest first; what follows in the module decides between them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..plan.blocks import block_index

#: A fused projection has so many parts at most (LSTM's gates).
FUSED = (4, 3, 2)


@dataclass(frozen=True)
class Order:
    """Feature ``i`` of the module's operation is feature ``index(n)[i]`` of the reference's.

    Attributes:
        block: the features read as a block of this shape …
        perm: … whose axes are transposed so.
        blocks: the features cut into as many equal blocks, in this order; before they are transposed.
    """

    block: tuple[int, ...] = ()
    perm: tuple[int, ...] = ()
    blocks: tuple[int, ...] = ()

    def fits(self, size: int) -> bool:
        return (not self.blocks or size % len(self.blocks) == 0) and (not self.block or math.prod(self.block) == size)

    def index(self, size: int) -> npt.NDArray[np.int64]:
        index = np.arange(size, dtype=np.int64)
        if self.blocks:
            index = index.reshape(len(self.blocks), -1)[list(self.blocks)].reshape(-1)
        return index[block_index(self.block, self.perm)] if self.block else index

    def __str__(self) -> str:
        words = [f"blocks {self.blocks}"] if self.blocks else []
        return ", then ".join([*words, *([f"{self.block} transposed by {self.perm}"] if self.block else [])])


def orders(size: int) -> Iterator[Order]:
    """The orders of ``size`` features worth trying, but for the one that they have.

    1. Parts of a fused projection in another order (the gates i, f, c, o), also with those of each head side by
       side: (heads, 3, n) against (3, heads, n).
    2. A block transposed: (H·W, C) against (C, H·W), (r·r, C) against (C, r·r).
    """
    yield from by_part(size)
    for rows in _divisors(size):
        if 1 < rows < size:
            yield Order((rows, size // rows), (1, 0))


def by_part(size: int) -> Iterator[Order]:
    """The parts of a fused projection in another order, or side by side head by head."""
    for count in FUSED:
        if size % count == 0:
            yield from (Order(blocks=p) for p in itertools.permutations(range(count)) if p != tuple(range(count)))
    yield from by_head(size)


def by_head(size: int) -> Iterator[Order]:
    """The parts of a fused projection side by side head by head, or no longer so."""
    seen: set[tuple[int, ...]] = set()
    for count in FUSED:
        for heads in _divisors(size // count) if size % count == 0 else ():
            for block in ((heads, count, size // count // heads), (count, heads, size // count // heads)):
                if 1 not in block and block not in seen:
                    seen.add(block)
                    yield Order(block, (1, 0, 2))


def by_head_and_otherwise(size: int) -> Iterator[Order]:
    """q, k and v in another order, and side by side head by head besides."""
    for order in by_head(size) if size % 3 == 0 else ():
        if order.block[0] == 3:
            for blocks in itertools.permutations(range(3)):
                if blocks != (0, 1, 2):
                    yield Order(order.block, order.perm, blocks)


def _divisors(size: int) -> list[int]:
    return [divisor for divisor in range(1, size + 1) if size % divisor == 0]
