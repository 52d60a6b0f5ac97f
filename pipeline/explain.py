"""``torchgraft explain RUN KEY``: how one tensor is made, why we believe it, and which candidates lost.

Reads ``plan.json`` and ``evidence.json`` of a run that wrote its files, or of a conversion that was saved though it is
not verified; neither TensorFlow nor torch is loaded.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..stages.deliver import EVIDENCE, PLAN
from ..stages.errors import CorruptInputError, UsageError
from ..stages.plan import LeftOver, Plan, PlanError, Recipe
from .moves_in_words import steps_of

#: So many keys are named of a module whose path is given in place of a key.
NAMED = 8
#: What decided, strongest first, in words.
KINDS = {
    "values": "values: it reads the same numbers, up to an order",
    "structure": "structure: what stands before and behind it",
    "hint": "a hint, which the values do not contradict",
    "names": "names: nothing else tells the candidates apart",
    "constant": "no variable: Keras has nothing for it",
}


def explain(run: Path, key: str) -> str:
    """The explanation of one key of the run in folder ``run`` (or of its ``plan.json``), as text.

    Raises:
        UsageError: the folder has no files of a run, or the module no such key; with the nearest.
        CorruptInputError: the files are none of torchgraft's.
    """
    folder = run.parent if run.name == PLAN else run
    plan, evidence = _plan(folder), _evidence(folder)
    if key not in plan.shapes:
        below = [each for each in plan.shapes if each.startswith(f"{key}.")]
        near = below[:NAMED] or difflib.get_close_matches(key, list(plan.shapes), n=3, cutoff=0)
        raise UsageError(f"the module has no key {key}", where=str(folder), fix=f"the nearest are {', '.join(near)}")
    left = next((left for left in plan.unmatched if left.name == key), None)
    lines = _left(left) if left else _made(key, plan[key], evidence.get(key, {}))
    ties = [other for tie in plan.ties if key in tie for other in tie if other != key]
    return "\n".join((*lines, *([f"One tensor with: {', '.join(ties)}"] if ties else []))) + "\n"


def _left(left: LeftOver) -> Iterator[str]:
    yield f"{left.name} {left.shape}: as the module has it"
    yield f"Why: {left.reason}"


def _made(key: str, recipe: Recipe, found: dict[str, Any]) -> Iterator[str]:
    yield f"{key} {recipe.shape} {recipe.dtype}"
    if found.get("layer"):
        yield f"Keras layer {found['layer']} → {found['place'] or 'the module'}"
    yield ""
    yield f"Recipe: {recipe}"
    yield from steps_of(recipe.expression)
    if recipe.arithmetic:
        yield "  This is arithmetic: it is not bit-equal to a Keras variable, and has no way back."
    yield ""
    kind = found.get("kind", "")
    yield f"Evidence: {KINDS.get(kind, kind)}" if kind else "Evidence:"
    yield from (f"  {sentence}" for sentence in recipe.evidence)
    lost = found.get("lost", [])
    yield "Candidates that lost:" if lost else "No other candidate fitted."
    for other in lost:
        held = f" ({', '.join(other['variables'])})" if other["variables"] else ""
        yield f"  {other['layer']}{held}: {other['reason']}"


def _plan(folder: Path) -> Plan:
    if not (folder / PLAN).is_file():
        missing = f"there is no {PLAN}" if folder.is_dir() else "there is no such folder"
        raise UsageError(
            f"{missing}: no run that was verified has written its files here",
            where=str(folder),
            fix="give the output folder of a run; one that ends with an error writes none: `torchgraft run --verbose` "
            "shows its mapping, what was compared and the candidates of what was not placed. In Python, convert(…)"
            ".save(folder, allow_unverified=True) writes those of a conversion that is not verified, to be explained",
        )
    try:
        return Plan.load(folder / PLAN)
    except (PlanError, OSError) as error:
        raise CorruptInputError(str(error), where=str(folder / PLAN), fix="run the job again") from error


def _evidence(folder: Path) -> dict[str, dict[str, Any]]:
    """Of a run that was written before there was such a file: nothing."""
    path = folder / EVIDENCE
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(key): dict(entry) for key, entry in dict(found).items()}
    except (OSError, ValueError, TypeError) as error:
        raise CorruptInputError(f"no evidence: {error}", where=str(path), fix="run the job again") from error
