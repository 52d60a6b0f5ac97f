"""What an op reads is not what its Keras layer reads: something before it differs.

Found by following the values back (blame.py) to where they part; ops that read one departed value have one finding.
What it is, is told by the first of ``EXPLANATIONS`` that can.

Also where the two are the same on small values and differ on large ones (ReLU6 for ReLU): the inputs of the comparison
may never go there, and the module is still another function. A call that Keras never makes is a warning: nothing may
come of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator

from ...base import Finding
from ...torch_graph import chain
from ..pairs import Pair
from .attention import attention
from .blame import counterparts, culprits
from .context import Context
from .departed import Departed
from .geometry import differing_geometry
from .missing import missing
from .padding import padding
from .recurrence import last_step
from .replaced import replaced
from .resizing import resizing
from .samples import samples
from .setting import setting

EXPLANATIONS: tuple[Callable[[Departed], Finding | None], ...] = (
    padding,
    samples,
    attention,
    last_step,
    setting,
    resizing,
    missing,
    replaced,
)


def departures(context: Context) -> Iterable[Finding]:
    """An error for each departed value, at the place where it parts from Keras."""
    told: set[str] = set()
    for pair in context.alignment.pairs.values():
        if pair.by_values and pair.target.name not in context.second.unconfirmed:
            continue
        if _follows_geometry(context, pair):
            continue
        for start in _parted(context, pair):
            if start and (start in told or told & set(chain(context.found.reading, start))):
                continue  # glue alone leads there: where few elements differ, a value on the way may look like Keras'
            told.add(start)
            yield _finding(context, pair, start)
    for op in context.alignment.unplaced:
        if any(slot.key in context.kept for slot in op.slots.values()):
            continue  # the module's own constant: the summary lists it, and what follows was aligned with it
        cause = "the module makes this call, Keras has no call of these weights on these values"
        yield Finding("warning", op.place or op.name, "", cause, "leave it out of forward if nothing needs it")


def explained(context: Context, pair: Pair) -> Iterator[Finding]:
    """The findings on what ``pair`` reads; none where only its layer could be named."""
    for start in _parted(context, pair):
        yield from _told(_departed(context, pair, start))


def _parted(context: Context, pair: Pair) -> list[str]:
    """The names of the values where the module parts from Keras, on the way to what ``pair`` reads."""
    ours, theirs = context.marks(pair)
    return culprits(context.found.reading, pair.target.reads, ours, theirs) or [pair.target.reads]


def _follows_geometry(context: Context, pair: Pair) -> bool:
    """Whether the op, or one whose value reaches it by glue alone, gives another size than Keras, as is told there."""
    glue, pairs = context.found.reading.glue, context.alignment.pairs
    passed = chain(context.found.reading, pair.target.reads)
    before = {pair.target.reads, *(read for name in passed for read in glue[name].reads)}
    sources = [pairs[name] for name in before if name in pairs]
    return any(map(differing_geometry, (pair, *sources))) or any(_other_size(context, source) for source in sources)


def _other_size(context: Context, pair: Pair) -> bool:
    ours = context.alignment.marks.get(pair.target.name)
    theirs = context.found.probe.marks.get(pair.reference.name)
    return not pair.by_values and ours is not None and theirs is not None and bool(ours[0] != theirs[0])


def _finding(context: Context, pair: Pair, start: str) -> Finding:
    departed = _departed(context, pair, start)
    for finding in _told(departed):
        return finding
    cause = f"it reads other values than Keras layer {departed.layer}"
    fix = "compare the operations and the padding before it with the Keras layers before that layer"
    return departed.finding(cause, fix)


def _departed(context: Context, pair: Pair, start: str) -> Departed:
    glue = context.found.reading.glue.get(start)
    parted = glue is not None and not counterparts(start, *context.marks(pair))
    return Departed(context, pair, start, glue if parted else None)


def _told(departed: Departed) -> Iterator[Finding]:
    """The first explanation that there is."""
    found = (explanation(departed) for explanation in EXPLANATIONS)
    yield from itertools.islice((finding for finding in found if finding is not None), 1)
