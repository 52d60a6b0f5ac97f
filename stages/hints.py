"""Hints: what the user says about the mapping, and which keys and variables of a model and a module that means.

A hint decides between candidates that values leave open; one that the values contradict is an error, with what they
say. See ``Hint`` for the forms.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from .errors import UsageError
from .plan import Plan

_Fault: TypeAlias = tuple[str, str, str]  # where, what, fix


@dataclass(frozen=True)
class Hint:
    """One pair: a key of the state_dict with a Keras variable, or a module's path with a Keras layer's.

    ``*`` stands for any part of one name, ``**`` for any text; what the stars of ``ours`` stand for is put into those
    of ``keras``, in order:

        >>> Hint("blocks.*.attn", "encoder_*/attention").pairs(["blocks.0.attn.weight"])
        [('blocks.0.attn', 'encoder_0/attention')]

    Attributes:
        ours: a key, a module's path, or a pattern of either.
        keras: a variable's path, a layer's path, or a pattern with at most as many stars.
        where: where it is said ("config.yaml:7"), for messages.
    """

    ours: str
    keras: str
    where: str = "hints"

    def pairs(self, keys: Iterable[str]) -> list[tuple[str, str]]:
        """(key or module path, what Keras should have there) for everything that the hint is about."""
        found = {}
        for name in sorted({*keys, *module_paths(keys)}):
            if match := _matcher(self.ours).fullmatch(name):
                found[name] = _filled(self.keras, match.groups())
        return list(found.items())


@dataclass(frozen=True)
class Claim:
    """What a hint says of one key: that it holds something of one of these variables."""

    variables: frozenset[str]
    hint: Hint


def hints_of_plan(plan: Plan, where: str) -> tuple[Hint, ...]:
    """A previous Plan as hints: each key with the first variable that it holds."""
    return tuple(Hint(key, recipe.variables[0].path, where) for key, recipe in plan.recipes.items() if recipe.variables)


def claims_of(hints: Iterable[Hint], keys: Collection[str], variables: Collection[str]) -> dict[str, Claim]:
    """Key → Claim. A hint about a key goes before one about the module that it is in.

    Raises:
        UsageError: a hint names what does not exist, or two say different things; all of them, with the nearest names.
    """
    exact: dict[str, Claim] = {}
    wide: dict[str, Claim] = {}
    faults: list[_Fault] = []
    for hint in hints:
        if hint.keras.count("*") > hint.ours.count("*"):
            faults.append((hint.where, f"{hint.keras} has more stars than {hint.ours}", "write as many, or fewer"))
            continue
        pairs = hint.pairs(keys)
        if not pairs:
            near = _nearest(hint.ours, [*keys, *sorted(module_paths(keys))])
            faults.append((hint.where, f"the module has no key and no path {hint.ours}", near))
        for name, keras in pairs:
            meant = frozenset(path for path in variables if path == keras or path.startswith(f"{keras}/"))
            if not meant:
                near = _nearest(keras, [*variables, *sorted(_layer_paths(variables))])
                faults.append((hint.where, f"the Keras model has no variable and no layer {keras} (for {name})", near))
                continue
            claims = exact if name in keys else wide
            for key in (key for key in keys if key == name or key.startswith(f"{name}.")):
                other = claims.setdefault(key, Claim(meant, hint))
                if other.variables != meant:
                    what = f"{hint.ours} says {keras} for {key}, {other.hint.ours} says {other.hint.keras}"
                    faults.append((hint.where, what, f"keep one of the two; the other is at {other.hint.where}"))
    if faults:
        (where, what, fix), *others = faults
        raise UsageError(what, where=where, fix=fix, details=tuple(f"{w}: {t}. {f}" for w, t, f in others))
    return {**wide, **exact}


def unmatched_allowed(patterns: Iterable[str], keys: Collection[str]) -> dict[str, str]:
    """Key → the pattern of ``allow_unmatched`` that it matches; a module's path stands for all keys below it.

    Raises:
        UsageError: a pattern matches nothing.
    """
    allowed: dict[str, str] = {}
    for pattern in patterns:
        names = [name for name, _ in Hint(pattern, "").pairs(keys)]
        if not names:
            raise UsageError(
                f"the module has no key {pattern}", where="allow_unmatched", fix=_nearest(pattern, list(keys))
            )
        for key in keys:
            if any(key == name or key.startswith(f"{name}.") for name in names):
                allowed.setdefault(key, pattern)
    return allowed


def module_paths(keys: Iterable[str]) -> set[str]:
    """The paths of the modules that the keys are in: "blocks.0.weight" → "blocks.0", "blocks"."""
    return set(_prefixes(keys, "."))


def _layer_paths(variables: Iterable[str]) -> set[str]:
    return set(_prefixes(variables, "/"))


def _prefixes(names: Iterable[str], separator: str) -> Iterator[str]:
    for name in names:
        parts = name.split(separator)
        yield from (separator.join(parts[:count]) for count in range(1, len(parts)))


def _matcher(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*?)", pattern)
    kinds = {"**": "(.*)", "*": r"([^.]*)"}
    return re.compile("".join(kinds.get(part) or re.escape(part) for part in parts))


def _filled(pattern: str, parts: Iterable[str]) -> str:
    """The pattern with ``parts`` in place of its stars, as many as it has."""
    remaining = iter(parts)
    return re.sub(r"\*\*?", lambda _: next(remaining), pattern)


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0)
    return f"the nearest are {', '.join(near)}" if near else "leave it out"


def contradictions(claims: Mapping[str, Claim], held: Mapping[str, tuple[str, ...]]) -> dict[str, Claim]:
    """Key → the Claim that what it holds (the paths of its variables) contradicts."""
    return {key: claim for key, claim in claims.items() if key in held and not claim.variables & set(held[key])}
