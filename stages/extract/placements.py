"""Why each key holds what the Plan says, and which candidates lost: what ``torchgraft explain`` shows."""

from __future__ import annotations

from ..base import Lost, Placement
from ..plan import Plan
from .align import Alignment, Pair
from .reference import Reference


def placements(plan: Plan, alignment: Alignment, reference: Reference) -> dict[str, Placement]:
    """Key → Placement, for every key that the Plan makes. A key of several calls has the evidence of the first."""
    pairs: dict[str, Pair] = {}
    for pair in alignment.pairs.values():
        for slot in pair.target.slots.values():
            pairs.setdefault(slot.key, pair)
    found = {}
    for key, recipe in plan.recipes.items():
        pair = pairs.get(key)
        if pair is None or not recipe.variables:
            sentence = recipe.evidence[0] if recipe.evidence else "Keras has nothing for it"
            place = pair.target.place if pair else key.rpartition(".")[0]
            found[key] = Placement("constant", place, "", sentence)
        else:
            layer = reference.layer_of(pair.reference)
            found[key] = Placement(pair.decided_by, pair.target.place, layer, pair.evidence, _lost(pair, reference))
    return found


def _lost(pair: Pair, reference: Reference) -> tuple[Lost, ...]:
    rivals = (reference.reading.ops[name] for name in pair.rivals)
    return tuple(
        Lost(reference.layer_of(op), tuple(sorted(reference.variables_of(op))), f"fits as well; decided by {reason}")
        for op in rivals
        for reason in [pair.decided_by]
    )
