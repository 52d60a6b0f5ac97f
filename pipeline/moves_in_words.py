"""An expression of the Plan, step by step: each move in words, with the shape that it gives."""

from __future__ import annotations

from collections.abc import Iterator

from ..stages.plan import (
    Computed,
    Expression,
    Fill,
    Flip,
    Joined,
    Move,
    Moved,
    Part,
    Reorder,
    Reshape,
    Transpose,
    Variable,
)

COLUMN = 72


def steps_of(expression: Expression, indent: str = "  ") -> Iterator[str]:
    """One line a step, in the order in which they are done; what is joined or computed with stands further in.

    Example: ``conv/kernel · transpose(3, 2, 0, 1)``:

        take the Keras variable conv/kernel                       (3, 4, 1, 2)
        put its axes into the order 3, 2, 0, 1                    (2, 1, 3, 4)
    """
    if isinstance(expression, Variable):
        text = f"take the Keras variable {expression.path}"
    elif isinstance(expression, Fill):
        text = f"fill with the constant {expression.value:g}, {expression.dtype}"
    elif isinstance(expression, Joined | Computed):
        parts = expression.parts if isinstance(expression, Joined) else expression.operands
        for letter, part in zip("abcdefghijklmnopqrstuvwxyz" * len(parts), parts, strict=False):
            yield f"{indent}{letter}:"
            yield from steps_of(part, f"{indent}   ")
        text = (
            f"lay these {len(parts)} one after the other along axis {expression.axis}"
            if isinstance(expression, Joined)
            else f"compute {expression.formula} in {expression.dtype}"
        )
    else:
        yield from steps_of(expression.source, indent)
        text = (
            f"take the positions {expression.start} to {expression.stop - 1} of axis {expression.axis}"
            if isinstance(expression, Part)
            else _in_words(expression)
        )
    yield f"{indent}{text}".ljust(COLUMN) + f" {expression.shape}"


def _in_words(moved: Moved) -> str:
    move: Move = moved.move
    if isinstance(move, Transpose):
        return f"put its axes into the order {', '.join(map(str, move.perm))}"
    if isinstance(move, Reshape):
        return "read the same elements, row by row, into another shape"
    if isinstance(move, Flip):
        return f"reverse axis {move.axis}"
    assert isinstance(move, Reorder)
    if move.order:
        return f"put the {len(move.order)} positions of axis {move.axis} into another order (in plan.json)"
    order = ", ".join(map(str, move.perm))
    return f"read axis {move.axis} as a block {move.block}, and put the block's axes into the order {order}"
