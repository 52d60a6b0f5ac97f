"""From pairs to a Plan: every slot of every pair names a key and the Recipe that makes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from torch import nn

from ..errors import MappingError
from ..plan import (
    Array,
    Computed,
    Fill,
    Joined,
    LeftOver,
    Plan,
    Recipe,
    Shape,
    Variable,
    inverse_moves,
)
from ..torch_graph import NORMALISATIONS, Section
from .absorb import Absorption
from .pairs import Alignment, Pair
from .partial import own_values
from .recipes import slot_recipe
from .statistics import unkept_statistics
from .unplaced import held_in_part, own_line, recomputed_line, table


@dataclass
class _Draft:
    """What is known of the Plan so far."""

    recipes: dict[str, Recipe] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    lacking: dict[str, str] = field(default_factory=dict)  # variable path → why the module has no place for it
    sections: dict[str, dict[Section, Recipe]] = field(default_factory=dict)  # of keys that are taken apart
    biased: dict[str, str] = field(default_factory=dict)  # reference op → the one of its terms that takes its bias


def make_plan(
    module: nn.Module,
    alignment: Alignment,
    absorbed: Iterable[Absorption],
    recipes: Mapping[str, Recipe],
    variables: Mapping[str, Array],
    *,
    exchanged: Mapping[str, Pair],
    not_needed: Mapping[str, str],
    allowed: Mapping[str, str],
) -> Plan:
    """The Plan of an alignment.

    Args:
        module: the user's.
        alignment: its pairs with the imported module.
        absorbed: the biases that running means take in.
        recipes: key of the imported module → Recipe.
        variables: path → value, of every variable of the Keras model.
        exchanged: name of an op → the pair whose bias it holds.
        not_needed: path → why, of those that the module leaves to its caller, or that nothing it gives is made from.
        allowed: key → the pattern of ``allow_unmatched`` that it matches.

    Raises:
        MappingError: a key has no recipe, a weight of Keras has no key, or two calls want different tensors for one
            key; the whole table, with the nearest candidates.
    """
    state = module.state_dict(keep_vars=True)
    shapes = {key: tuple(tensor.shape) for key, tensor in state.items()}
    draft = _Draft()
    for pair in sorted(alignment.pairs.values(), key=lambda pair: not pair.by_values):
        _place(pair, recipes, shapes, draft, exchanged)
    _join_sections(shapes, draft)
    for op in alignment.zeros:
        key = op.slots["value"].key
        evidence = f"arithmetic: Keras adds nothing at {op.place or key}; behind zeros all reads as in Keras"
        draft.recipes[key] = Recipe(Fill(0, shapes[key]), (evidence,))
    for absorption in absorbed:
        _absorb(absorption, recipes, draft)
    ties = tied_keys(module)
    _share_ties(ties, draft)
    for key, shape in shapes.items():
        if key.endswith("num_batches_tracked") and key not in draft.recipes and key not in allowed:
            counter = Fill(0, shape, "int64")
            draft.recipes[key] = Recipe(counter, ("torch counts training batches here; Keras does not",))
    known = {path: Variable(path, tuple(array.shape), str(array.dtype)) for path, array in variables.items()}
    unused = _unused(known, recipes, draft, not_needed)
    own = {**_own_buffers(module, alignment, draft), **own_values(allowed, draft.recipes)}
    missing = [key for key in shapes if key not in draft.recipes and key not in own]
    needed = [left for left in unused if left.name not in not_needed]
    taking_part = _paths(recipes)
    lost = [left for left in needed if left.name in draft.lacking or left.name in taking_part]
    if missing or lost or draft.faults:
        raise MappingError(
            f"{len(missing)} of {len(shapes)} keys have no Keras variable, "
            f"{len(lost)} of {len(known)} Keras variables have no key",
            where=type(module).__name__,
            fix="build the module as the Keras model is built; the tables name what is missing on either side"
            + (recomputed_line(missing) or own_line(missing, shapes)),
            details=table(
                missing,
                shapes,
                lost,
                [*draft.faults, *held_in_part(alignment), *unkept_statistics(module)],
                alignment,
            ),
        )
    ordered = {key: draft.recipes[key] for key in shapes if key in draft.recipes}
    kept = tuple(LeftOver(key, shapes[key], reason) for key, reason in own.items())
    return Plan(ordered, known, shapes, tuple(unused), kept, ties)


def _own_buffers(module: nn.Module, alignment: Alignment, draft: _Draft) -> dict[str, str]:
    """Constants that the module brings itself (a mask, a mean to subtract): they keep their value; key → why.

    Only buffers, and only those that no operation of a Keras layer reads: a parameter that Keras has nothing for, or
    a running mean, is a fault.
    """
    buffers = {name for name, _ in module.named_buffers()}
    read = {slot.key for pair in alignment.pairs.values() for slot in pair.target.slots.values()}
    read |= {
        slot.key
        for op in alignment.unplaced
        for slot in op.slots.values()
        if op.kind in NORMALISATIONS or not {other.key for other in op.slots.values()} <= buffers
    }
    reason = "a buffer of the module's own, for which Keras has nothing: it keeps its value"
    return {key: reason for key in module.state_dict() if key in buffers - read and key not in draft.recipes}


def _place(
    pair: Pair,
    recipes: Mapping[str, Recipe],
    shapes: Mapping[str, Shape],
    draft: _Draft,
    exchanged: Mapping[str, Pair],
) -> None:
    for name, slot in pair.target.slots.items():
        owner = exchanged.get(pair.target.name, pair) if name == "bias" else pair
        recipe = slot_recipe(owner, name, slot, recipes)
        if recipe is None:
            continue
        if name == "bias" and pair.match.section is not None:
            first = draft.biased.setdefault(pair.reference.name, pair.target.name)
            if first != pair.target.name:
                added = "another term of the same layer adds its bias; 0 is the same"
                recipe = Recipe(Fill(0, recipe.shape, recipe.dtype), (added, pair.evidence))
        recipe = recipe.then(*inverse_moves(slot.moves))
        if slot.section is not None:
            draft.sections.setdefault(slot.key, {}).setdefault(slot.section, recipe)
        elif pair.by_values or slot.key not in draft.recipes:  # what else departs is told as a finding, not as a tie
            _keep(slot.key, recipe, shapes, draft)
    for reference in pair.match.references:
        for name, slot in reference.slots.items():
            if name not in pair.target.slots:
                for variable in recipes[slot.key].variables:
                    draft.lacking.setdefault(variable.path, f"{pair.target.place} has no {name}")


def _keep(key: str, recipe: Recipe, shapes: Mapping[str, Shape], draft: _Draft) -> None:
    if recipe.shape != shapes[key]:
        draft.faults.append(f"{key}: has shape {shapes[key]}, Keras gives {recipe.shape} ({recipe})")
    elif key in draft.recipes and not draft.recipes[key].equals(recipe):
        draft.faults.append(f"{key}: is used twice, as {draft.recipes[key]} and as {recipe}")
    else:
        draft.recipes.setdefault(key, recipe)


def _join_sections(shapes: Mapping[str, Shape], draft: _Draft) -> None:
    """Keys that the module takes apart (``in_proj_weight``), of all the sections that it takes."""
    for key, sections in draft.sections.items():
        ordered = sorted(sections)
        axis = ordered[0][0]
        ends = [0, *(stop for _, _, stop in ordered)]
        starts = [start for _, start, _ in ordered]
        if ends[:-1] != starts or ends[-1] != shapes[key][axis]:
            draft.faults.append(f"{key}: only the sections {', '.join(f'{a}:{b}' for _, a, b in ordered)} are placed")
            continue
        made = [sections[each] for each in ordered]
        evidence = tuple(dict.fromkeys(line for recipe in made for line in recipe.evidence))
        _keep(key, Recipe(Joined(axis, tuple(recipe.expression for recipe in made)), evidence), shapes, draft)


def _absorb(absorption: Absorption, recipes: Mapping[str, Recipe], draft: _Draft) -> None:
    """The running mean less the bias that stands before it in Keras."""
    pair, key = absorption.pair, absorption.norm.target.slots["running_mean"].key
    bias = slot_recipe(pair, "bias", pair.reference.slots["bias"], recipes)
    mean = draft.recipes.get(key)
    if bias is None or mean is None or mean.arithmetic or mean.shape != bias.shape:
        return
    for variable in bias.variables:
        draft.lacking.pop(variable.path, None)
    evidence = f"arithmetic: {pair.target.place} has no bias; the running mean behind it takes Keras' bias in"
    draft.recipes[key] = Recipe(
        Computed("a - b", (mean.expression, bias.expression), mean.dtype), (evidence, *mean.evidence)
    )


def tied_keys(module: nn.Module) -> tuple[tuple[str, ...], ...]:
    """Groups of keys that are one tensor (``decoder.weight = encoder.weight``)."""
    groups: dict[tuple[int, Shape], list[str]] = {}
    for key, tensor in module.state_dict(keep_vars=True).items():
        if tensor.numel():
            groups.setdefault((tensor.data_ptr(), tuple(tensor.shape)), []).append(key)
    return tuple(tuple(keys) for keys in groups.values() if len(keys) > 1)


def _share_ties(ties: Iterable[tuple[str, ...]], draft: _Draft) -> None:
    for keys in ties:
        made = [key for key in keys if key in draft.recipes]
        for key in made[1:]:
            if not draft.recipes[key].equals(draft.recipes[made[0]]):
                draft.faults.append(
                    f"{made[0]} and {key} are one tensor in the module, Keras has two: "
                    f"{draft.recipes[made[0]]} and {draft.recipes[key]}"
                )
        for key in keys:
            if made and key not in draft.recipes:
                draft.recipes[key] = draft.recipes[made[0]].because(f"tied to {made[0]}")


def _unused(
    known: Mapping[str, Variable], recipes: Mapping[str, Recipe], draft: _Draft, not_needed: Mapping[str, str]
) -> list[LeftOver]:
    used = _paths(draft.recipes)
    taking_part = _paths(recipes)
    left = []
    for path, variable in known.items():
        if path not in used:
            takes_part = path in taking_part
            reason = (
                draft.lacking.get(path)
                or not_needed.get(path)
                or ("no key takes it" if takes_part else "takes no part in inference")
            )
            left.append(LeftOver(path, variable.shape, reason))
    return left


def _paths(recipes: Mapping[str, Recipe]) -> set[str]:
    return {variable.path for recipe in recipes.values() for variable in recipe.variables}
