"""What an op reads is not what its Keras layer reads: something before it differs.

Found by following the values back (blame.py) to where they part; ops that read one departed value have one finding.

1. The same operation with another setting (a pooling that counts its padding), or behind a padding that Keras has and
   the module has not: both values of the setting, the line that pads so.
2. Another operation, or one that Keras has not (tanh for ReLU): both operations.
3. An operation that only Keras has (a forgotten activation), on a value that the module hands straight to the op.
4. The op's own padding: how Keras pads, as the module that does so.
5. None of these can be told: said so.

Also where the two are the same on small values and differ on large ones (ReLU6 for ReLU): the inputs of the comparison
may never go there, and the module is still another function. A call that Keras never makes is a warning: nothing may
come of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...base import Finding
from ...torch_graph import CONVOLUTIONS, Glue
from ..align import Pair
from .blame import chain, counterparts, culprits
from .context import Context
from .geometry import differing_settings


def departures(context: Context) -> Iterable[Finding]:
    """An error for each departed value, at the place where it parts from Keras."""
    told: set[str] = set()
    for pair in context.alignment.pairs.values():
        if pair.by_values and pair.target.name not in context.second.unconfirmed:
            continue
        if _follows_geometry(context, pair):
            continue
        ours, theirs = context.marks(pair)
        starts = culprits(context.found.reading, pair.target.reads, ours, theirs) or [pair.target.reads]
        for start in starts:
            if start and start in told:
                continue
            told.add(start)
            yield _finding(context, pair, start)
    for op in context.alignment.unplaced:
        if any(slot.key in context.kept for slot in op.slots.values()):
            continue  # the module's own constant: the summary lists it, and what follows was aligned with it
        cause = "the module makes this call, Keras has no call of these weights on these values"
        yield Finding("warning", op.place or op.name, "", cause, "leave it out of forward if nothing needs it")


def _follows_geometry(context: Context, pair: Pair) -> bool:
    """Whether the op, or one whose value reaches it by glue alone, has another stride than Keras."""
    glue, pairs = context.found.reading.glue, context.alignment.pairs
    passed = chain(context.found.reading, pair.target.reads, set())
    sources = {pair.target.name, pair.target.reads, *(read for name in passed for read in glue[name].reads)}
    return any(name in pairs and differing_settings(pairs[name]) for name in sources)


def _finding(context: Context, pair: Pair, start: str) -> Finding:
    glue = context.found.reading.glue.get(start)
    parted = glue is not None and not counterparts(start, *context.marks(pair))
    layer, place, cause, fix = _at_glue(context, pair, start, glue) if parted and glue else _at_op(context, pair)
    if pair.by_values:
        cause += " (they differ on large values only)"
    return Finding("error", place, layer, cause, fix)


def _at_glue(context: Context, pair: Pair, start: str, glue: Glue) -> tuple[str, str, str, str]:
    """Cases 1 and 2: (Keras layer, place, cause, fix)."""
    reference = context.reference.reading
    before = {name for read in glue.reads for name in counterparts(read, *context.marks(pair))}
    rivals = {name: other for name, other in reference.glue.items() if before & set(other.reads)}
    place = context.found.reading.places[start]
    pads = {name: other for name, other in rivals.items() if other.operator == "pad"}
    padded = {name: other for name, other in reference.glue.items() if set(pads) & set(other.reads)}
    for name, other in {**rivals, **padded}.items():
        if other.operator == glue.operator and (differing := _differing(glue, other)):
            layer = context.layer_at(name) or context.reference.layer_of(pair.reference)
            cause = ", ".join(f"{key} is {mine}, Keras has {keras}" for key, (mine, keras) in differing.items())
            fix = "pass " + ", ".join(f"{key}={keras}" for key, (_, keras) in differing.items())
            if name in padded:
                settings = next(pads[read].settings for read in other.reads if read in pads)
                line = f"F.pad(x, {settings['pad']}, value={settings.get('value') or 0.0})"
                cause, fix = f"{cause} behind {line}", f"write {line} before it, and {fix}"
            return layer, place, cause, fix
    layer = context.layer_after(rivals)
    wanted = sorted({other.operator for other in rivals.values()})
    after = " and ".join(context.found.reading.places[read] for read in glue.reads)
    if not rivals:
        cause, fix = f"after {after} the module computes {glue.operator}, Keras nothing", f"remove {glue.operator}"
    elif len(wanted) == 1 and wanted[0] != glue.operator:
        cause = f"after {after} the module computes {glue.operator}, Keras computes {wanted[0]}"
        fix = f"use {wanted[0]} in place of {glue.operator}"
    else:  # Keras' operation is several in the graph (gelu), or the same on other operands
        cause = f"after {after} the module's {glue.operator} is not what Keras layer {layer} computes"
        fix = f"compute there what Keras layer {layer} does"
    return layer or context.reference.layer_of(pair.reference), place, cause, fix


def _differing(ours: Glue, theirs: Glue) -> dict[str, tuple[Any, Any]]:
    """Setting → (ours, Keras'), floats as a person writes them: ONNX keeps them as float32."""
    both = {name: (value, theirs.settings[name]) for name, value in ours.settings.items() if name in theirs.settings}
    written = {name: (_written(mine), _written(keras)) for name, (mine, keras) in both.items()}
    return {name: values for name, values in written.items() if values[0] != values[1]}


def _written(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _at_op(context: Context, pair: Pair) -> tuple[str, str, str, str]:
    """Cases 3 to 5: (Keras layer, place, cause, fix)."""
    place = pair.target.place or pair.target.name
    layer = context.reference.layer_of(pair.reference)
    handed = set(counterparts(pair.target.reads, *context.marks(pair)))
    glue = context.reference.reading.glue
    between = chain(context.reference.reading, pair.reference.reads, handed) if handed else []
    operators = [glue[name].operator for name in between]
    if pair.target.kind in CONVOLUTIONS and handed and operators in ([], ["pad"]):
        theirs = _torch_pads(pair, glue[between[0]] if between else None)
        cause = f"it pads by {pair.target.hyper['padding']}, Keras by {_pairs(theirs)} (before and after, axis by axis)"
        return layer, place, cause, f"pad by F.pad(x, {theirs}) before it, and pass padding=0"
    if operators:
        named = " then ".join(reversed([operator for operator in operators if operator != "pad"] or operators))
        cause = f"Keras computes {named} on what the module hands to {place} as it is"
        return layer, place, cause, f"add {named} before {place}"
    cause = f"it reads other values than Keras layer {layer}"
    return (
        layer,
        place,
        cause,
        "compare the operations and the padding before it with the Keras layers before that layer",
    )


def _torch_pads(pair: Pair, pad: Glue | None) -> tuple[int, ...]:
    """The reference's whole padding as ``torch.nn.functional.pad`` takes it: last axis first."""
    own = [side for sides in reversed(pair.reference.hyper["padding"]) for side in sides]
    before = list(pad.settings.get("pad", ())) if pad else []
    length = max(len(own), len(before))
    padded = [(each + [0] * length)[:length] for each in (own, before)]
    return tuple(a + b for a, b in zip(*padded, strict=True))


def _pairs(pads: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    return tuple((pads[i], pads[i + 1]) for i in range(len(pads) - 2, -1, -2))
