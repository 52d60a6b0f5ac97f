"""The heart: moves, Recipe, Plan. numpy only; knows nothing of Keras, ONNX or PyTorch."""

from .moves import Array, Flip, Move, Reorder, Reshape, Shape, Transpose, apply_moves, inverse_moves
from .plan import LeftOver, Plan, PlanError
from .recipe import Expression, Fill, Joined, Moved, Part, Recipe, Variable, moved

__all__ = [
    "Array",
    "Expression",
    "Fill",
    "Flip",
    "Joined",
    "LeftOver",
    "Move",
    "Moved",
    "Part",
    "Plan",
    "PlanError",
    "Recipe",
    "Reorder",
    "Reshape",
    "Shape",
    "Transpose",
    "Variable",
    "apply_moves",
    "inverse_moves",
    "moved",
]
