"""A traced graph past TensorFlow's optimizer without memory for its weights.

Grappler makes a tensor of zeros for every placeholder, to feed it (grappler_item_builder.cc, ``fake_input``), and
TensorFlow's CPU allocator never gives the memory back: once all weights. It feeds no variable. So for its time each
weight is one, by the same name and of the same shape and type, and a placeholder again afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import tensorflow as tf


def unfed(optimize: Callable[[Any], Any], definition: Any, weights: Collection[str]) -> Any:
    """What ``optimize`` makes of a GraphDef; ``weights`` are the names of its placeholders that are no inputs."""
    placeholders = {node.name: node for node in definition.node if node.name in weights}
    held = _like(definition)
    for node in definition.node:
        if node.name in placeholders:
            handle = held.node.add(name=f"{node.name}/handle", op="VarHandleOp")
            value = held.node.add(name=node.name, op="ReadVariableOp", input=[handle.name])
            handle.attr["shape"].CopyFrom(node.attr["shape"])
            for made in (handle, value):
                made.attr["dtype"].CopyFrom(node.attr["dtype"])
        else:
            held.node.add().CopyFrom(node)
    optimized = optimize(held)
    given = _like(optimized)
    for node in optimized.node:
        if node.name.removesuffix("/handle") not in placeholders or node.name in placeholders:
            given.node.add().CopyFrom(placeholders.get(node.name, node))
    return given


def _like(definition: Any) -> Any:
    """The definition without its nodes."""
    empty = tf.compat.v1.GraphDef(versions=definition.versions)
    empty.library.CopyFrom(definition.library)
    return empty
