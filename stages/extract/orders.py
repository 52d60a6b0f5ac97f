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
        blocks: the features cut into as many equal blocks, in this order.
    """

    block: tuple[int, ...] = ()
    perm: tuple[int, ...] = ()
    blocks: tuple[int, ...] = ()

    def fits(self, size: int) -> bool:
        return size % len(self.blocks) == 0 if self.blocks else math.prod(self.block) == size

    def index(self, size: int) -> npt.NDArray[np.int64]:
        if not self.blocks:
            return block_index(self.block, self.perm)
        cut = np.arange(size, dtype=np.int64).reshape(len(self.blocks), -1)
        return cut[list(self.blocks)].reshape(-1)

    def __str__(self) -> str:
        return f"blocks {self.blocks}" if self.blocks else f"{self.block} transposed by {self.perm}"


def orders(size: int) -> Iterator[Order]:
    """The orders of ``size`` features worth trying, but for the one that they have.

    1. Parts of a fused projection in another order (the gates i, f, c, o), also with those of each head side by
       side: (heads, 3, n) against (3, heads, n).
    2. A block transposed: (H·W, C) against (C, H·W), (r·r, C) against (C, r·r).
    """
    seen: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()
    for count in FUSED:
        if size % count == 0:
            yield from (Order(blocks=p) for p in itertools.permutations(range(count)) if p != tuple(range(count)))
    for count in FUSED:
        for heads in _divisors(size // count) if size % count == 0 else ():
            for block in ((heads, count, size // count // heads), (count, heads, size // count // heads)):
                if 1 not in block and (block, (1, 0, 2)) not in seen:
                    seen.add((block, (1, 0, 2)))
                    yield Order(block, (1, 0, 2))
    for rows in _divisors(size):
        if 1 < rows < size:
            yield Order((rows, size // rows), (1, 0))


def _divisors(size: int) -> list[int]:
    return [divisor for divisor in range(1, size + 1) if size % divisor == 0]
