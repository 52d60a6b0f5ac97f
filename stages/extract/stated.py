"""What the user states of the mapping, as the alignment asks for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from ..base import Job, Placement
from ..errors import MappingError
from ..hints import Claim, claims_of, contradictions, unmatched_allowed
from ..plan import Plan
from ..torch_graph import Op


@dataclass(frozen=True)
class Stated:
    """Hints and keys that may stay unmatched.

    Attributes:
        claims: key → what a hint says of it.
        allowed: key → the pattern of ``allow_unmatched`` that it matches.
    """

    claims: Mapping[str, Claim] = field(default_factory=dict)
    allowed: Mapping[str, str] = field(default_factory=dict)

    def hints(self, op: Op, variables: Collection[str]) -> bool:
        """Whether a hint gives a key of ``op`` one of these variables."""
        claims = (self.claims[slot.key] for slot in op.slots.values() if slot.key in self.claims)
        return any(claim.variables & set(variables) for claim in claims)

    def speaks_against(self, op: Op, variables: Collection[str]) -> bool:
        """Whether a hint is about ``op`` and gives none of its keys one of these variables."""
        return any(slot.key in self.claims for slot in op.slots.values()) and not self.hints(op, variables)

    def leaves_alone(self, op: Op) -> bool:
        """Whether every key of ``op`` keeps the module's own value: it is no counterpart of anything."""
        return bool(op.slots) and all(slot.key in self.allowed for slot in op.slots.values())


def stated_of(job: Job, keys: Collection[str], variables: Collection[str]) -> Stated:
    """What ``job`` states.

    Raises:
        UsageError: it names what does not exist, with the nearest.
    """
    return Stated(claims_of(job.hints, keys, variables), unmatched_allowed(job.allow_unmatched, keys))


def refuse_wrong_hints(stated: Stated, plan: Plan, evidence: Mapping[str, Placement], module: str) -> None:
    """A hint is never followed against the values.

    Raises:
        MappingError: hints that what was found contradicts, each with what the values say instead.
    """
    held = {key: tuple(variable.path for variable in recipe.variables) for key, recipe in plan.recipes.items()}
    wrong = contradictions(stated.claims, {key: paths for key, paths in held.items() if paths})
    if not wrong:
        return
    lines = []
    for key, claim in wrong.items():
        found = evidence.get(key)
        lines.append(f"{claim.hint.where}: {claim.hint.ours} is hinted to be {claim.hint.keras}")
        lines.append(f"  {key} holds {', '.join(held[key])}: {found.sentence if found else plan[key].evidence[0]}")
    first = next(iter(wrong.values())).hint
    what = f"{len(wrong)} keys hold other variables than hints say, first {next(iter(wrong))}"
    fix = "take the hint out, or write what the values say"
    raise MappingError(what, where=first.where, fix=fix, details=(f"Module {module}:", *lines))
