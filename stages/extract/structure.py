"""What follows an op in its graph, as one number: equal for ops that are followed by the same structure."""

from __future__ import annotations

from collections.abc import Mapping

from ..torch_graph import Op


def downstream(ops: Mapping[str, Op]) -> dict[str, int]:
    """Name → hash of the op's signature and of all that its output reaches; empty where edges are unknown.

    ``ops`` are in execution order, so one pass from the last to the first serves (a Weisfeiler-Leman refinement
    of a graph without cycles, taken to its end).
    """
    if not any(op.sources for op in ops.values()):
        return {}
    followers: dict[str, list[int]] = {name: [] for name in ops}
    found: dict[str, int] = {}
    for name in reversed(list(ops)):
        op = ops[name]
        found[name] = hash((op.signature, tuple(sorted(followers[name]))))
        for source in op.sources:
            if source in followers:
                followers[source].append(found[name])
    return found
