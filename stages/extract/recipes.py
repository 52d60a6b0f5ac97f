"""The Recipe of one slot of a pair: what the reference's ops hold, in the form in which the user's op takes it."""

from __future__ import annotations

from collections.abc import Mapping

from ..plan import Computed, Expression, Fill, Joined, Part, Recipe, Reorder, Reshape, Shape, Transpose
from ..torch_graph import NEUTRAL, PARAMETER, Op, Slot
from .pairs import Pair


def slot_recipe(pair: Pair, name: str, slot: Slot, recipes: Mapping[str, Recipe]) -> Recipe | None:
    """The Recipe of a slot in canonical form; None where the reference has nothing for it, and nothing says the same.

    ``recipes``: key of the imported module → Recipe.
    """
    match, held = pair.match, [each.slots.get(name) for each in pair.match.references]
    if not any(held):
        neutral = NEUTRAL.get((pair.target.kind, name))
        if neutral is None:
            return None
        return Recipe(Fill(neutral, slot.shape), (f"Keras has no {name} here; {neutral:g} is the same", pair.evidence))
    made = [recipes[each.key].then(*each.moves) if each else None for each in held]
    recipe = _put_together(pair, name, made).because(pair.evidence)
    if match.section is not None and name == "weight":
        recipe = Recipe(Part(1 - pair.target.output_axis, *match.section, recipe.expression), recipe.evidence)
    if pair.arrangement.held is not None:
        return _among_zeros(recipe, slot.shape, pair.arrangement.held)
    if pair.target.kind == PARAMETER:
        return _parameter(recipe, pair.arrangement.axes, slot.shape)
    if pair.arrangement.features is not None:
        axis = _input_axis(pair.target, name)
        if axis is not None:
            recipe = recipe.then(Reorder.along(axis, pair.arrangement.features))
    if pair.arrangement.axes is not None and pair.target.kind != "embedding":
        recipe = _turned(recipe, pair.arrangement.axes, slot.shape)
    axis = pair.target.output_axis if name == "weight" else 0
    if match.order is not None:
        recipe = recipe.then(Reorder.along(axis, match.order.index(recipe.shape[axis])))
    if match.part is not None:
        recipe = Recipe(Part(axis, *match.part, recipe.expression), recipe.evidence)
    return recipe


def _put_together(pair: Pair, name: str, made: list[Recipe | None]) -> Recipe:
    """The recipes of the references as one; where one has nothing, what says the same."""
    there = [recipe for recipe in made if recipe is not None]
    if len(made) == 1:
        return there[0]
    evidence = tuple(dict.fromkeys(line for recipe in there for line in recipe.evidence))
    if pair.match.sums and name == "bias":
        if len(there) == 1:
            return there[0]
        operands = tuple(recipe.expression for recipe in there)
        return Recipe(Computed("a + b", operands, there[0].dtype), ("arithmetic: the sum of both biases", *evidence))
    axis = (1 - pair.target.output_axis if pair.match.sums else pair.target.output_axis) if name == "weight" else 0
    parts: list[Expression] = []
    for reference, recipe in zip(pair.match.references, made, strict=True):
        if recipe is None:
            size = reference.slots["weight"].shape[reference.output_axis]
            parts.append(Fill(NEUTRAL[pair.target.kind, name], (size,), there[0].dtype))
        else:
            parts.append(recipe.expression)
    return Recipe(Joined(axis, tuple(parts)), evidence)


def _among_zeros(recipe: Recipe, wanted: Shape, held: tuple[int, int]) -> Recipe:
    """A table that holds these rows; the rows that nothing reads are zeros."""
    before, behind = (
        [Fill(0, (count, *wanted[1:]), recipe.dtype)] if count else [] for count in (held[0], wanted[0] - held[1])
    )
    return Recipe(Joined(0, (*before, recipe.expression, *behind)), recipe.evidence)


def _parameter(recipe: Recipe, axes: tuple[int, ...] | None, wanted: Shape) -> Recipe:
    if axes is not None:
        recipe = recipe.then(Transpose(axes))
    return recipe if recipe.shape == wanted else recipe.then(Reshape(recipe.shape, wanted))


def _input_axis(op: Op, slot: str) -> int | None:
    """The axis of a canonical weight that runs along the input's features."""
    if op.keeps_order:
        return 0
    return 1 - op.output_axis if slot == "weight" else None


def _turned(recipe: Recipe, axes: tuple[int, ...], wanted: Shape) -> Recipe:
    """The operand of an elementwise op whose other side has its axes in another order."""
    full = (1,) * (len(axes) - len(recipe.shape)) + recipe.shape
    recipe = recipe.then(Reshape(recipe.shape, full), Transpose(axes))
    return recipe.then(Reshape(recipe.shape, wanted)) if recipe.shape != wanted else recipe
