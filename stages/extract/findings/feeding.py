"""The config, or a name, states another way of feeding the module than its values tell.

1. Under another way more operations read what their Keras layers read: both are said.
2. Nothing is stated, and an argument that has the name of a Keras input takes another one.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...base import Finding
from ...fit import Fit
from .context import Context


def feeding(context: Context) -> Iterable[Finding]:
    """An error where what is stated is contradicted, a warning where names are."""
    names = {port.name for port in context.reference.ports}
    for argument, entry in context.found.trial.inputs.items():
        own = argument.rpartition(".")[2]
        if own in names and entry.value in names - {own}:
            cause = f"the argument {argument} is used as Keras uses {entry.value}, and Keras has an input {own}, too"
            yield Finding("warning", f"input {argument}", own, cause, "check which of them forward means")
    way = context.found.contradicted
    if way is None:
        return
    stated, found = (
        "; ".join(line.strip() for line in Fit(trial.inputs).config_lines()[2:]) for trial in (context.found.trial, way)
    )
    yield Finding(
        severity="error",
        place="fit.inputs",
        layer=", ".join(str(entry.value) for entry in way.inputs.values()),
        cause=f"fed as the config states ({stated}) the module computes other values than Keras",
        fix=f"state {found}, under which it does not, or nothing",
    )
