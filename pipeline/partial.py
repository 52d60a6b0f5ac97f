"""What of the Keras model, or of the module, takes no part in a conversion, as one line for people."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..stages.base import Extraction
from ..stages.fit import Fit

SHOWN = 4


def partial_of(extraction: Extraction) -> str:
    """Empty where every output is given and every key is filled from Keras, buffers of the module's own aside."""
    plan = extraction.plan
    own = [left.name for left in plan.unmatched if left.reason.startswith("allow_unmatched")]
    if not extraction.not_given and not own:
        return ""
    instead = [*(layer for layer in extraction.not_given.values() if layer), *extraction.ends]
    parts = []
    if extraction.not_given:
        parts.append(f"the module does not give {_named(extraction.not_given)}")
    if instead:
        parts.append(f"compared at its ends is {_named(instead)}")
    behind = [left.name for left in plan.unused if "not needed for what the module gives" in left.reason]
    if behind:
        parts.append(f"{len(behind)} Keras variables are not needed for that ({_named(behind)})")
    if own:
        parts.append(f"{len(own)} keys keep the module's own values ({_named(own)})")
    return "; ".join(parts)


def stated_fit(extraction: Extraction) -> Fit:
    """What was found of how the module is fed and what it gives, as a config states it.

    Where the module gives the value of a layer in place of an output, that is an entry of the output.
    """
    ends = {layer: output for output, layer in extraction.not_given.items() if layer}
    outputs = {
        ends.get(name, name): replace(fit, value=name) if name in ends else fit
        for name, fit in extraction.fit.outputs.items()
    }
    return replace(extraction.fit, outputs=outputs)


def _named(names: Iterable[str]) -> str:
    known = list(dict.fromkeys(names))
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    return ", ".join(known[:SHOWN]) + more
