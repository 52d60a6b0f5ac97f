"""Site: one node of the raw graph at the moment a rule rewrites it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from ..base import Rewrite
from ..plan import Array
from .builder import Builder
from .held import Constant, Held, View, shape_of
from .layout import FreeShape, Layout


class Site:
    """A raw node, what is held for its inputs, and the graph to write into.

    Attributes:
        node: the raw node.
        held: what is held for each of its inputs; None for one that is left out.
        wanted: raw value name → layout in which the nodes below would like it (a wish, never a must).
        rewrites: the report.
    """

    def __init__(
        self,
        rule: str,
        *,
        node: ir.Node,
        held: Sequence[Held | None],
        builder: Builder,
        wanted: Mapping[str, Layout],
        rewrites: list[Rewrite],
    ) -> None:
        self.rule = rule
        self.node = node
        self.held = tuple(held)
        self.builder = builder
        self.wanted = wanted
        self.rewrites = rewrites

    @property
    def name(self) -> str:
        return self.node.name or self.node.op_type

    def attribute(self, name: str, default: Any = None) -> Any:
        found = self.node.attributes.get(name)
        return default if found is None else found.value

    def shape(self, index: int = 0) -> FreeShape | None:
        """The raw shape of an input."""
        held = self.held[index]
        return None if held is None else held.shape

    def output_shape(self, index: int = 0) -> FreeShape | None:
        """The raw shape of an output."""
        return shape_of(self.node.outputs[index])

    def constant(self, index: int) -> Array | None:
        """The array of an input that is known."""
        held = self.held[index] if index < len(self.held) else None
        return held.array if isinstance(held, Constant) else None

    def view(self, index: int = 0) -> View:
        held = self.held[index]
        assert held is not None, f"{self.name}: input {index} is missing"
        return self.builder.view(held)

    def placed(self, index: int, layout: Layout, why: str) -> ir.Value | None:
        """Input ``index`` in ``layout``; what has to be written for it is recorded with ``why``."""
        held = self.held[index]
        if held is None:
            return None
        value, written = self.builder.placed(held, layout)
        if written:
            self.refuse(f"{why}: {written} before it")
        return value

    def plain(self, index: int, why: str) -> ir.Value | None:
        """Input ``index`` as in Keras."""
        held = self.held[index]
        if isinstance(held, View) and held.layout.is_plain:
            return held.value
        return None if held is None else self.placed(index, Layout.plain(len(held.shape or ())), why)

    def emit(
        self,
        inputs: Sequence[ir.Value | None],
        layouts: Sequence[Layout | None],
        attributes: Mapping[str, Any] | None = None,
        operator: str | None = None,
        domain: str | None = None,
    ) -> list[Held]:
        """Write the node; output ``i`` stands in ``layouts[i]`` (None: as in Keras). Attributes are the raw ones."""
        shapes = [shape_of(output) for output in self.node.outputs]
        settled = [
            Layout.plain(len(shape or ())) if layout is None else layout
            for shape, layout in zip(shapes, layouts, strict=True)
        ]
        outputs = [
            (output.dtype, None if shape is None else layout.physical_shape(shape))
            for output, shape, layout in zip(self.node.outputs, shapes, settled, strict=True)
        ]
        values = self.builder.node(
            operator or self.node.op_type,
            inputs,
            self.raw_attributes() if attributes is None else attributes,
            outputs,
            name=self.name,
            domain=self.node.domain if domain is None else domain,
        )
        return [View(value, layout, shape) for value, layout, shape in zip(values, settled, shapes, strict=True)]

    def as_in_keras(self, why: str) -> list[Held]:
        """Write the node as it is, every input brought back to Keras' layout because of ``why``."""
        return self.emit([self.plain(index, why) for index in range(len(self.held))], [None] * len(self.node.outputs))

    def raw_attributes(self) -> dict[str, Any]:
        return dict(self.node.attributes)

    def applied(self, what: str) -> None:
        self.rewrites.append(Rewrite(self.rule, self.name, True, what))

    def refuse(self, why: str) -> None:
        self.rewrites.append(Rewrite(self.rule, self.name, False, why))


@dataclass(frozen=True)
class Rule:
    """What is done with some operators of the raw graph.

    Attributes:
        name: in reports.
        operators: "Relu"; "torchgraft.Linear" for one of a domain.
        rewrite: writes the node into the new graph; gives what is held for each output.
        wishes: the layout that input ``index`` should have where output 0 is wished for in a layout; None: no wish.
            It says how a wish passes *up* through the node.
        over_last: inputs of three axes or more over whose last axes it runs: it wishes them as in Keras.
        leads: whether the layout that the node worked in is what all its inputs should have.
    """

    name: str
    operators: tuple[str, ...]
    rewrite: Callable[[Site], Sequence[Held]]
    wishes: Callable[[ir.Node, int, Layout], Layout | None] = lambda node, index, layout: None
    over_last: tuple[int, ...] = ()
    leads: bool = False


def operator_of(node: ir.Node) -> str:
    return f"{node.domain}.{node.op_type}" if node.domain else node.op_type
