"""The config states another way of feeding the module than its values tell.

1. Under another way more operations read what their Keras layers read: both are said.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...base import Finding
from ...fit import Fit
from .context import Context


def feeding(context: Context) -> Iterable[Finding]:
    """An error where what is stated is contradicted."""
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
