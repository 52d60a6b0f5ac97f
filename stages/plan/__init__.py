"""The heart: moves, Recipe, Plan. numpy only; knows nothing of Keras, ONNX or PyTorch."""

from .arithmetic import FORMULAS, Computed
from .expressions import Expression, Fill, Joined, Moved, Part, Variable
from .left_over import LeftOver
from .moves import Array, Flip, Move, Reorder, Reshape, Shape, Transpose, apply_moves, inverse_moves
from .normal_form import moved
from .plan import Plan, PlanError
from .recipe import Recipe

__all__ = [
    "FORMULAS",
    "Array",
    "Computed",
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
