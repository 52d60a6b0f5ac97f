"""The module's output is not what Keras gives, under probes that judge what comes after the last op alone.

1. It is what Keras has before its last activation, or after one more (logits): a note, and compared with it applied.
2. It is the value of a Keras layer from which Keras makes the output without a weight: likewise.
3. It is the value of a Keras layer, and trained layers follow in Keras: a warning, or a note where it is stated;
   compared is that layer.
4. The config states another fit than the values have: an error, with the lines that fit.
5. It is a value that Keras computes on the way, and none of the above: that value is named.
6. It is no value of Keras: what follows the last layer is told as a departure, where it can be.
7. The module has no output for it: left out, or made by layers that keep the module's own weights.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...base import Finding
from ...fit import Fit, OutputFit
from ...torch_graph import MOVEMENTS
from ..fingerprint import fingerprint, matching
from ..partial import stated_end
from .context import Context
from .ending import ending
from .geometry import differing_geometry


def outputs(context: Context) -> Iterable[Finding]:
    """A finding for each Keras output that is not the module's own."""
    for name, fit in context.placed.fits.items():
        if name in context.placed.guessed:
            yield from _guessed(context, name, fit)
        elif fit.activation not in (None, "linear") or fit.keras_activation or fit.value:
            yield _fitted(name, fit)
    for name, layer in context.placed.missing.items():
        if not layer:
            yield _not_given(context, name)
            continue
        place = _place(context.placed.fits[layer])
        cause = (
            f"the module does not give {name}; what it gives is the value of Keras layer {layer}, and compared is that"
        )
        if layer in context.stated_ends:
            yield Finding("note", place, name, cause, "nothing: the config states it")
            continue
        fix = (
            f"add what follows {layer} in Keras if the module shall give {name}; else state `{stated_end(name, layer)}`"
        )
        yield Finding("warning", place, name, cause, fix)


def _not_given(context: Context, name: str) -> Finding:
    """Case 7."""
    own = context.alignment.own
    if own:
        cause = f"{own[-1].place} keeps the module's own values (allow_unmatched), so Keras' {name} is not given"
        return Finding("note", own[-1].place, name, cause, "train it; compared is what Keras has in front of it")
    cause = f"no output of the module is Keras' {name}: it is not compared"
    return Finding("warning", "the outputs", name, cause, f"return {name} from forward if the module shall give it")


def _fitted(name: str, fit: OutputFit) -> Finding:
    """Cases 1 and 2."""
    if fit.keras_activation:
        cause = f"the module gives {fit.keras_activation}({name}), Keras gives {name} itself"
        fix = f"expect {fit.keras_activation} of what Keras gave; or leave {fit.keras_activation} out of forward"
    elif fit.value:
        cause = (
            f"the module gives what Keras layer {fit.value} gives, from which Keras computes {name} without a weight"
        )
        fix = f"compute what follows {fit.value} on the module's output"
    else:
        cause = f"the module gives what Keras has before {fit.activation}"
        fix = f"apply {fit.activation} to the module's output, or at the end of forward"
    return Finding("note", _place(fit), name, cause, fix)


def _guessed(context: Context, name: str, fit: OutputFit) -> Iterable[Finding]:
    """Cases 4 to 6."""
    if found := context.placed.contradicted.get(name):
        stated = "; ".join(line.strip() for line in Fit(outputs={name: fit}).config_lines()[2:])
        cause = f"the config states {stated}, and by its values it is not that"
        lines = "; ".join(line.strip() for line in Fit(outputs={name: found}).config_lines()[2:])
        yield Finding("error", _place(fit), name, cause, f"state {lines}, or nothing")
        return
    if fit.value in context.stated_ends and not context.alignment.departures:
        cause = (
            f"the config states that the module gives what Keras layer {fit.value} gives, and by its values it does not"
        )
        yield Finding("error", _place(fit), name, cause, f"state what it gives, or end forward where {fit.value} does")
        return
    names, table = list(context.found.probe.marks), list(context.found.probe.marks.values())
    output = context.alignment.outputs[context.placed.positions[name]]
    inner = [names[i] for i in matching(fingerprint(output), table)]
    if inner:
        lacking = _after(context, inner[0])
        cause = f"the module returns what Keras has before {lacking}"
        fix = f"apply {lacking} at the end of forward"
    elif context.alignment.departures or any(map(differing_geometry, context.alignment.pairs.values())):
        return  # what differs before it explains it
    elif (finding := ending(context, name, _place(fit))) is not None:
        yield finding
        return
    else:
        cause = f"{_place(fit)} of the module is not Keras' {name}"
        fix = "compare what follows the last layer in both"
    yield Finding("error", _place(fit), name, cause, fix)


def _place(fit: OutputFit) -> str:
    return f"output {fit.place}".strip()


def _after(context: Context, name: str) -> str:
    """The operations that read the value ``name``."""
    glue = context.reference.reading.glue.values()
    readers = [each.operator for each in glue if name in each.reads and each.operator not in MOVEMENTS]
    return " and ".join(sorted(set(readers))) or "its end"
