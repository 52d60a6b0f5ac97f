"""How the module takes its inputs, where that is not what PyTorch usually has.

1. A feature map (rank 4 or more) is given with channels last, as Keras has it.
2. Samples stand on the second axis ("t n c").
"""

from __future__ import annotations

from collections.abc import Iterable

from ...base import Finding
from .context import Context


def layouts(context: Context) -> Iterable[Finding]:
    """A note for each such input: whoever runs the module must feed it so."""
    for argument, entry in context.found.trial.inputs.items():
        source, _, target = (entry.layout or "").partition(" -> ")
        if len(source.split()) >= 4 and source == target:
            cause = f"the module was given {entry.value} with channels last, as Keras has it ({source})"
            fix = "feed it so, or permute in forward if your data has channels first"
        elif target.split()[1:2] == ["n"]:
            cause = f"the module takes {entry.value} with the samples on its second axis ({target})"
            fix = "feed it so" + _or_first(context)
        else:
            continue
        yield Finding("note", f"input {argument}", entry.value or "", cause, fix)


def _or_first(context: Context) -> str:
    """What to pass where a layer of torch's wants it so, and nobody may have meant it."""
    modules = context.found.module.named_modules()
    paths = [path for path, module in modules if path and getattr(module, "batch_first", True) is False]
    return f", or pass batch_first=True to {', '.join(paths[:3])}{' …' if len(paths) > 3 else ''}" if paths else ""
