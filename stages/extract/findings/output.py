"""The module's output is not what Keras gives, under a probe that judges what comes after the last op alone.

1. It is a value that Keras computes on the way (logits, where Keras ends in softmax): that value is named.
2. It is no value of Keras.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...base import Finding
from ..fingerprint import fingerprint, matching
from .context import Context


def outputs(context: Context) -> Iterable[Finding]:
    """An error for each Keras output that was not found by its values."""
    names, table = list(context.found.probe.marks), list(context.found.probe.marks.values())
    for position, port in zip(context.found.expected, context.outputs, strict=True):
        if port.name not in context.guessed:
            continue
        inner = [names[i] for i in matching(fingerprint(context.alignment.outputs[position]), table)]
        if inner:
            lacking = _after(context, inner[0])
            cause = f"the module returns what Keras has before {lacking}"
            fix = f"apply {lacking} at the end of forward"
        elif context.alignment.departures:
            continue  # the departure before it explains it
        else:
            cause = f"output {position} of the module is not Keras' {port.name}"
            fix = "compare what follows the last layer in both"
        yield Finding("error", f"output {position}", port.name, cause, fix)


def _after(context: Context, name: str) -> str:
    """The operations that read the value ``name``."""
    readers = [glue.operator for glue in context.reference.reading.glue.values() if name in glue.reads]
    return " and ".join(sorted(set(readers))) or "its end"
