"""Why each key holds what the Plan says, and which candidates lost: what ``torchgraft explain`` shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..base import Lost, Placement
from ..plan import Plan
from ..torch_graph import Op
from .pairs import Alignment, Pair
from .reference import Reference

#: So many of the candidates that read other values are named, those next to it on either side in execution order.
NAMED = 3


def placements(plan: Plan, alignment: Alignment, reference: Reference) -> dict[str, Placement]:
    """Key → Placement, for every key that the Plan makes. A key of several calls has the evidence of the first."""
    pairs: dict[str, Pair] = {}
    for pair in alignment.pairs.values():
        for slot in pair.target.slots.values():
            pairs.setdefault(slot.key, pair)
    alike: dict[object, list[str]] = {}
    for name, op in reference.reading.ops.items():
        alike.setdefault(op.signature, []).append(name)
    lost: dict[str, tuple[Lost, ...]] = {}
    found = {}
    for key, recipe in plan.recipes.items():
        by = pairs.get(key)
        if by is None or not recipe.variables:
            sentence = recipe.evidence[0] if recipe.evidence else "Keras has nothing for it"
            place = by.target.place if by else key.rpartition(".")[0]
            found[key] = Placement("constant", place, "", sentence)
            continue
        if by.target.name not in lost:
            lost[by.target.name] = tuple(_lost(by, reference, alike))
        layer = reference.layer_of(by.reference)
        found[key] = Placement(by.decided_by, by.target.place, layer, by.evidence, lost[by.target.name])
    return found


def _lost(pair: Pair, reference: Reference, alike: Mapping[object, list[str]]) -> Iterator[Lost]:
    """Those that read the same, then those of the same kind and shape that do not."""
    ops, chosen = reference.reading.ops, {op.name for op in pair.match.references}

    def lost(op: Op, reason: str) -> Lost:
        return Lost(reference.layer_of(op), tuple(sorted(reference.variables_of(op))), reason)

    for name in dict.fromkeys((*pair.rivals, *pair.equals)):
        if name not in chosen:
            how = "decided by" if name in pair.rivals else "told apart by"
            yield lost(ops[name], f"reads the same; {how} {_DECIDED[pair.decided_by]}")
    told = {*chosen, *pair.rivals, *pair.equals}
    family = alike.get(pair.reference.signature, [])
    middle = family.index(pair.reference.name) if pair.reference.name in family else 0
    other = [name for name in family[max(0, middle - NAMED) : middle + NAMED + 1] if name not in told]
    more = len(family) - len(told & set(family)) - len(other)
    reason = "the same kind and shape; reads other values" if pair.by_values else "the same kind and shape"
    yield from (lost(ops[name], reason) for name in other)
    if more > 0:
        yield Lost(f"{more} more layers", (), reason)


_DECIDED = {
    "values": "what follows in the graph",
    "structure": "the structure that follows",
    "names": "the likeness of names",
    "hint": "a hint",
}
