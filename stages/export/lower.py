"""The last leg: opaque operations become what they stand for, and everything gets its usable name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx
import onnx_ir as ir
from onnx_ir.passes import common as passes

from ..base import Boundary, Port
from ..onnx_functions import DOMAIN, add_functions
from ..plan import Array
from .convert import TRACE_DOMAIN, onnx_from_function
from .normalisations import join_normalisations
from .opaque import FUNCTION, LOOP, SITE
from .order import sort_by_layer
from .recurrence import Loop
from .scan import body_graph, name_in, scan_node, step_inputs
from .trace import CallEnd, Traced
from .whole import Site, WholeLayer
from .writer import GraphNames, Names, Writer, graph_shape, name_of, onnx_dtype

BOUNDARY_KEY = "torchgraft.boundary"
VARIABLE_KEY = "torchgraft.variable"


def lowered(proto: onnx.ModelProto, traced: Traced, model_name: str) -> ir.Model:
    """Replace every opaque node: by its layer's nodes, or at a boundary by an Identity named after it.

    Inputs are named after Keras' inputs, weights after their variables, boundary values after their boundaries.
    """
    model = ir.from_proto(proto)
    graph = model.graph
    _name_values(graph, traced)
    names = GraphNames(
        values=Names(value.name for value in _values(graph) if value.name),
        nodes=Names(node.name for node in graph if node.name),
    )
    _lower_nodes(graph, names, traced)
    _pass_outputs_through(graph)
    graph.name, graph.doc_string, model.producer_name = model_name, None, "torchgraft"
    graph.opset_imports.pop(TRACE_DOMAIN, None)
    graph.opset_imports.pop("ai.onnx.ml", None)
    passes.RemoveUnusedNodesPass()(model)
    _drop_unused_weights(graph)
    ends = {node.metadata_props[BOUNDARY_KEY]: node for node in graph if BOUNDARY_KEY in node.metadata_props}
    sort_by_layer(graph, [ends[name] for name in traced.order if name in ends])
    add_functions(model)
    _infer_shapes(model)
    join_normalisations(model, names)
    return model


def _lower_nodes(graph: ir.Graph, names: GraphNames, traced: Traced) -> None:
    for node in list(graph):
        if node.domain == TRACE_DOMAIN:
            kind, place = node.attributes["token"].as_string().split()
            if kind == FUNCTION:
                node.domain, node.op_type = DOMAIN, place
                del node.attributes["token"]
            elif kind == SITE:
                _write_site(graph, names, node, *traced.sites[int(place)])
            elif kind == LOOP:
                _write_loop(graph, names, node, traced.loops[int(place)], traced)
            else:
                _write_boundary(graph, names, node, traced.boundaries[int(place)])


def _infer_shapes(model: ir.Model) -> None:
    """Fill in the shapes that are not known yet; those that are keep their names of free sizes."""
    known = {value: value.shape for value in _values(model.graph) if value.shape is not None}
    passes.ShapeInferencePass()(model)
    for value, shape in known.items():
        value.shape = shape


def _drop_unused_weights(graph: ir.Graph) -> None:
    """The model's own inputs stay, used or not."""
    for value in list(graph.inputs):
        if VARIABLE_KEY in value.metadata_props and not value.uses() and value not in graph.outputs:
            graph.inputs.remove(value)


def _values(graph: ir.Graph) -> list[ir.Value]:
    made = (value for node in graph for value in node.outputs if value.name)
    return [*graph.inputs, *graph.initializers.values(), *made]


def _name_values(graph: ir.Graph, traced: Traced) -> None:
    """Give the inputs their Keras names and every other value a name without tf2onnx's ":0"."""
    fix_constants(graph, traced.constants)
    shapes = {f"input_{place}:0": graph_shape(entry.shape) for place, entry in enumerate(traced.inputs)}
    inputs = {f"input_{place}:0": entry.name for place, entry in enumerate(traced.inputs)}
    variables = {f"weight_{place}:0": path for place, path in enumerate(traced.variables)}
    taken = Names(inputs.values())
    for value in graph.inputs:
        name = name_of(value)
        if name in inputs:
            value.name, value.shape = inputs[name], shapes[name]
        else:
            value.name, value.metadata_props[VARIABLE_KEY] = taken.unique(variables[name]), variables[name]
    for value in _values(graph)[len(graph.inputs) :]:
        value.name = taken.unique(name_of(value).removesuffix(":0"))
        if not value.is_initializer():
            value.shape = None  # tf2onnx's are not always right; they are inferred again


def fix_constants(graph: ir.Graph, constants: Mapping[str, Array]) -> None:
    """Inputs that stand for constants become initializers."""
    for value in [value for value in graph.inputs if name_of(value) in constants]:
        graph.inputs.remove(value)
        value.const_value = ir.tensor(constants[name_of(value)], name=value.name)
        graph.register_initializer(value)


def _write_site(graph: ir.Graph, names: GraphNames, node: ir.Node, handler: WholeLayer, site: Site) -> None:
    x, *inputs = (value for value in node.inputs if value is not None)
    weights = dict(zip(site.weights, inputs, strict=True))
    for name, (shape, dtype) in site.weights.items():
        weights[name].shape, weights[name].dtype = ir.Shape(shape), onnx_dtype(dtype)
    x.shape, x.dtype = graph_shape(site.input_shape, site.batch), onnx_dtype(site.input_dtype)
    writer = Writer(graph, names, site.name.replace("#", "_"), site.batch)
    result = handler.write(writer, site, x, weights)
    graph.insert_before(node, writer.nodes)
    _replace(graph, node, [result])


def _write_loop(graph: ir.Graph, names: GraphNames, node: ir.Node, loop: Loop, traced: Traced) -> None:
    """A Scan whose body is the loop's step, converted and lowered as the model itself is."""
    model = ir.from_proto(onnx_from_function(loop.function, traced.scopes))
    body = model.graph
    fix_constants(body, loop.constants)
    inputs = step_inputs(loop, body)
    for value in _values(body):
        value.name = names.values.unique(name_in(loop.name, name_of(value).removesuffix(":0")))
        if value not in body.inputs:
            value.shape = None
    _lower_nodes(body, names, traced)
    _pass_outputs_through(body)
    passes.RemoveUnusedNodesPass()(model)
    add_functions(model)
    _infer_shapes(model)
    scan = scan_node(loop, node, body_graph(body, inputs, loop, node, graph), names)
    graph.insert_before(node, [scan])
    _replace(graph, node, scan.outputs)


def _write_boundary(graph: ir.Graph, names: GraphNames, node: ir.Node, end: CallEnd) -> None:
    name = end.name
    identity = ir.node("Identity", [node.inputs[0]], name=names.nodes.unique(f"{name}/output".replace("#", "_")))
    identity.metadata_props[BOUNDARY_KEY] = name
    value = identity.outputs[0]
    value.name = names.values.unique(name)
    value.shape, value.dtype = graph_shape(end.shape), onnx_dtype(end.dtype)
    graph.insert_before(node, [identity])
    _replace(graph, node, [value])


def _replace(graph: ir.Graph, node: ir.Node, values: Sequence[ir.Value]) -> None:
    """Use ``values`` for the opaque node's outputs, and for the ``ensure_shape`` behind each."""
    for output, value in zip(node.outputs, values, strict=True):
        for user in output.consumers():
            if user.op_type == "Identity" and user.outputs[0] not in graph.outputs:
                ir.convenience.replace_all_uses_with(user.outputs, [value])
                graph.remove(user, safe=True)
    ir.convenience.replace_all_uses_with(node.outputs, values)
    graph.remove(node, safe=True)


def _pass_outputs_through(graph: ir.Graph) -> None:
    """Let an output be the value that TensorFlow's Identity nodes copy, except an input or another output."""
    taken = {id(value) for value in graph.inputs}
    for place, output in enumerate(graph.outputs):
        source = output
        while (node := source.producer()) is not None and node.op_type == "Identity" and _is_copy(node):
            (copied,) = node.inputs
            if copied is None or id(copied) in taken:
                break
            source = copied
        taken.add(id(source))
        graph.outputs[place] = source


def _is_copy(node: ir.Node) -> bool:
    return BOUNDARY_KEY not in node.metadata_props


def weights_in(model: ir.Model) -> dict[str, str]:
    """Name of a weight input → path of its variable."""
    return {
        name_of(value): value.metadata_props[VARIABLE_KEY]
        for value in model.graph.inputs
        if VARIABLE_KEY in value.metadata_props
    }


def boundaries_in(model: ir.Model, traced: Traced) -> tuple[tuple[Boundary, ...], dict[str, str]]:
    """The boundaries in order of execution, and those whose value the outputs do not depend on."""
    values = {
        node.metadata_props[BOUNDARY_KEY]: node.outputs[0]
        for node in model.graph
        if BOUNDARY_KEY in node.metadata_props
    }
    kept, unkept = [], {}
    for end in traced.boundaries:
        if end.name in values:
            layer, kind = end.call.path, type(end.call.layer).__name__
            kept.append(
                Boundary(end.name, name_of(values[end.name]), end.shape, end.dtype, layer=layer, layer_class=kind)
            )
        else:
            unkept[end.name] = "no output of the model depends on it"
    return tuple(kept), unkept


def ports(model: ir.Model, traced: Traced) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """The model's inputs and outputs."""
    inputs = tuple(Port(entry.name, entry.name, entry.shape, entry.dtype) for entry in traced.inputs)
    outputs = tuple(
        Port(name, name_of(value), shape, dtype)
        for (name, shape, dtype), value in zip(traced.outputs, model.graph.outputs, strict=True)
    )
    return inputs, outputs
