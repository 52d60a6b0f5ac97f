"""Layouts: how the axes of one array become those of another, as einops writes it ("n h w c -> n c h w").

A pattern names the axes and not their lengths, so that it holds for any number of samples.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ..plan import Array

#: Rank → names of the axes of a Keras array.
AXES: tuple[str, ...] = ("", "n", "n c", "n t c", "n h w c", "n d h w c")
_TOKEN = re.compile(r"\([^()]*\)|\S+")


def axes(rank: int) -> list[str]:
    """Names of the axes of a Keras array: samples first, channels last."""
    if rank < len(AXES):
        return AXES[rank].split()
    return ["n", *(f"d{position}" for position in range(1, rank - 1)), "c"]


def laid(array: Array, pattern: str | None, shape: Sequence[int | None] = ()) -> Array:
    """``array`` by ``pattern``; as it is where there is none.

    Args:
        array: what is laid out anew.
        pattern: as einops writes it.
        shape: of the result, None where free: the lengths of axes that the array has merged.

    Raises:
        ValueError: the array does not fit the pattern.
    """
    if not pattern:
        return array
    import einops

    source, _, target = pattern.partition("->")
    merged = {name for token in _TOKEN.findall(source) if token.startswith("(") for name in token.strip("()").split()}
    result = _TOKEN.findall(target)
    known = dict(zip(result, shape, strict=True)) if len(result) == len(shape) else {}
    lengths = {name: size for name, size in known.items() if name in merged and size}
    try:
        made: Array = einops.rearrange(array, pattern, **lengths)
    except einops.EinopsError as error:
        raise ValueError(str(error)) from error
    return made


def check(pattern: str) -> str:
    """``pattern``, if it is one; ValueError where it is not."""
    sides = [side.replace("(", " ").replace(")", " ").split() for side in pattern.split("->")]
    names = [sorted(name for name in side if name != "1") for side in sides]
    plain = all(name.isidentifier() for side in names for name in side)
    if len(sides) != 2 or names[0] != names[1] or len(set(names[0])) != len(names[0]) or not plain:
        raise ValueError(f"{pattern!r} is no layout: write both orders of the axes, as 'n h w c -> n c h w'")
    return pattern


def patterns(source: int, target: int) -> Iterator[str]:
    """From a module's output of rank ``source`` to a Keras array of rank ``target``: the layouts that are usual.

    1. As Keras has it; with channels first; with samples second (a sequence, "t n c").
    2. An axis of length 1 more or less, behind or in front of the channels; in front of all (the state of nn.LSTM).
    3. The positions merged, or merged with the channels, on either side.

    Any other order (classes, or height and width exchanged) is a fault, and must not pass for a layout.
    """
    ours = axes(target)
    for order in _orders(ours):
        yield from _fitted(order, ours, source)


def _orders(ours: list[str]) -> Iterator[list[str]]:
    yield ours
    if len(ours) > 2:
        yield ["n", "c", *ours[1:-1]]
    if len(ours) == 3:
        yield ["t", "n", "c"]


def _fitted(order: list[str], ours: list[str], rank: int) -> Iterator[str]:
    """Patterns that read ``order`` in ``rank`` axes."""
    wanted = " ".join(ours)
    missing = rank - len(order)
    if missing == 0:
        yield f"{' '.join(order)} -> {wanted}"
    if missing > 0:
        yield f"{' '.join([*order, *['1'] * missing])} -> {wanted}"
        if len(order) > 1:
            yield f"{' '.join([*order[:-1], *['1'] * missing, order[-1]])} -> {wanted}"
        if len(order) == 2 and missing == 1:
            yield f"1 {' '.join(order)} -> {wanted}"
    if missing == -1:
        for name in order:
            if name not in ("n", "t"):  # an axis that is 1 in Keras and not there in the module
                kept = [other for other in order if other != name]
                yield f"{' '.join(kept)} -> {' '.join('1' if other == name else other for other in ours)}"
    if len(order) > 3 and rank == 3:
        spatial = [name for name in order if name not in ("n", "c")]
        merged = f"({' '.join(spatial)})"
        yield f"{f'n c {merged}' if order[1] == 'c' else f'n {merged} c'} -> {wanted}"
    if len(order) > 2 and rank == 2 and order[0] == "n":
        yield f"n ({' '.join(order[1:])}) -> {wanted}"
