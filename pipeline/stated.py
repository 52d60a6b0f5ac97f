"""What a config or a caller states of the mapping: hints, and keys that may keep the module's own value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..stages.errors import UsageError
from ..stages.hints import Hint, claims_of, hints_of_plan, unmatched_allowed
from ..stages.plan import Plan, PlanError

if TYPE_CHECKING:
    from ..stages.base import Job


def is_plan(ours: str, keras: str) -> bool:
    """Whether a pair of ``hints`` names the Plan of an earlier run."""
    return ours == "plan" and keras.endswith(".json")


def hints_of(stated: Any, base: Path, places: Mapping[str, str] | None = None) -> tuple[Hint, ...]:
    """The hints of a Plan, or of pairs; the pair ``plan: FILE.json`` is all those of that file.

    Args:
        stated: a Plan, or key or module path → variable or layer path; None for none.
        base: what a Plan's path is relative to.
        places: left side of a pair → where it is said.

    Raises:
        UsageError: it is neither; a Plan's file cannot be read.
    """
    if stated is None:
        return ()
    if isinstance(stated, Plan):
        return hints_of_plan(stated, "hints")
    fix = "give a torchgraft.Plan, or a dict: key or module path → Keras variable or layer path"
    if not isinstance(stated, Mapping) or not all(isinstance(t, str) for pair in stated.items() for t in pair):
        raise UsageError(f"received {stated!r}", where="hints", fix=fix)
    found: list[Hint] = []
    for ours, keras in stated.items():
        where = (places or {}).get(ours, f"hints[{ours!r}]")
        if is_plan(ours, keras):
            found += hints_of_plan(_plan_at(base / Path(keras).expanduser(), where), where)
        else:
            found.append(Hint(ours, keras, where))
    return tuple(found)


def _plan_at(path: Path, where: str) -> Plan:
    try:
        return Plan.load(path)
    except (OSError, PlanError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UsageError(f"{path}: {reason}", where=where, fix="give the plan.json of an earlier run") from error


def patterns_of(patterns: Any) -> tuple[str, ...]:
    """``allow_unmatched`` as ``convert`` takes it."""
    if isinstance(patterns, str) or not isinstance(patterns, Iterable):
        raise UsageError(f"received {patterns!r}", where="allow_unmatched", fix='give a list of patterns: ["head.*"]')
    return tuple(patterns)


def check_stated(job: Job) -> None:
    """Refuse what names no key or no variable before any work; those of a model that is not built yet stage 5 knows.

    Raises:
        UsageError: with the nearest names.
    """
    if job.module is None:
        if job.hints or job.allow_unmatched:
            what = "hints and allow_unmatched are about the keys of your module, and none is given"
            raise UsageError(what, where=job.hints[0].where if job.hints else "allow_unmatched", fix="give a target")
        return
    keys = list(job.module.state_dict())
    unmatched_allowed(job.allow_unmatched, keys)
    if job.hints and job.model.built:
        from ..stages.keras_layers import variable_paths

        claims_of(job.hints, keys, list(variable_paths(job.model)))
