"""The normal form of moves over an expression: what is written shortest, and what undoes itself is gone.

It is a matter of reading: two recipes are compared by their index maps, never by how they are written.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .arithmetic import Computed
from .expressions import Expression, Fill, Moved
from .moves import Flip, Move, Reorder, Reshape, Shape, Transpose


def moved(expression: Expression, *moves: Move) -> Expression:
    """``expression`` with ``moves`` applied in order, in normal form.

    1. A move that changes nothing is left out (Transpose of axes of length 1 to the same shape, Reshape to the
       same shape, Reorder in order, Flip of an axis of length 1).
    2. Transpose after Transpose is one Transpose; Reshape after Reshape is one Reshape; Reorder and Flip of the same
       axis are one Reorder, and a Flip undoes a Flip.
    3. Reorder and Flip wander below a Transpose, and below a Reorder or Flip of a later axis, so that two of one axis
       meet unless a Reshape is between (a channel-first flatten undone by a module that permutes back is nothing).
    4. Any move over a Fill is that Fill in the new shape.
    5. A Reorder takes its shortest form.
    6. A move over arithmetic goes to its operands, where none of them is broadcast.

    Example: a kernel to torch's layout and back is the kernel.

        >>> from torchgraft.stages.plan import Variable
        >>> moved(Variable("conv/kernel", (3, 4, 1, 2)), Transpose((3, 2, 0, 1)), Transpose((2, 3, 1, 0)))
        Variable(path='conv/kernel', shape=(3, 4, 1, 2), dtype='float32')

    Raises:
        ValueError: a move does not fit the shape that it meets.
    """
    for move in moves:
        expression = _moved(expression, move)
    return expression


def _moved(expression: Expression, move: Move) -> Expression:
    shape = move.shape(expression.shape)
    if _changes_nothing(move, expression.shape):
        return expression
    if isinstance(expression, Fill):
        return replace(expression, shape=shape)
    if isinstance(expression, Computed) and all(each.shape == expression.shape for each in expression.operands):
        return replace(expression, operands=tuple(_moved(each, move) for each in expression.operands))
    if isinstance(move, Reorder):
        move = Reorder.along(move.axis, move.index)
    return (_met(expression, move) if isinstance(expression, Moved) else None) or Moved(move, expression)


def _met(expression: Moved, move: Move) -> Expression | None:
    """What becomes of the last move of ``expression`` and ``move`` after it; None where both stay as they are."""
    last, source = expression.move, expression.source
    if isinstance(move, Transpose) and isinstance(last, Transpose):
        return _moved(source, Transpose(tuple(last.perm[axis] for axis in move.perm)))
    if isinstance(move, Reshape) and isinstance(last, Reshape):
        return _moved(source, Reshape(last.source, move.target))
    if isinstance(move, (Reorder, Flip)) and isinstance(last, Transpose):
        return _moved(_moved(source, replace(move, axis=last.perm[move.axis])), last)
    if isinstance(move, (Reorder, Flip)) and isinstance(last, (Reorder, Flip)) and move.axis < last.axis:
        return _moved(_moved(source, move), last)
    if isinstance(move, (Reorder, Flip)) and isinstance(last, (Reorder, Flip)) and move.axis == last.axis:
        return _moved(source, _merged(last, move, source.shape[move.axis]))
    return None


def _merged(first: Reorder | Flip, second: Reorder | Flip, length: int) -> Reorder:
    return Reorder.along(first.axis, _index(first, length)[_index(second, length)])


def _index(move: Reorder | Flip, length: int) -> npt.NDArray[np.int64]:
    return move.index if isinstance(move, Reorder) else np.arange(length, dtype=np.int64)[::-1]


def _changes_nothing(move: Move, shape: Shape) -> bool:
    if isinstance(move, Transpose):
        seen = [axis for axis in move.perm if shape[axis] != 1]
        return move.shape(shape) == shape and seen == sorted(seen)
    return (
        (isinstance(move, Reshape) and move.target == shape)
        or (isinstance(move, Reorder) and move.is_identity)
        or (isinstance(move, Flip) and shape[move.axis] <= 1)
    )
