"""Traces a Keras model into one TensorFlow function whose weights are arguments.

Every layer call ends in an opaque operation (its boundary), so that no rewrite crosses it, and a layer with a handler
is one opaque operation over (input, *weights); so is a loop over time steps (recurrence.py). The operation's token
tells which entry of ``Traced`` it stands for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

from ..errors import TorchgraftError, UnsupportedError
from ..keras_io import KerasInput, call_model, model_inputs, named_outputs
from ..keras_layers import LayerCall, intercepted_calls, layer_paths, variable_paths
from ..plan import Array
from .activations import whole_activations
from .opaque import BOUNDARY, SITE, eager_constants, opaque
from .recurrence import Loop, Recurrences
from .stepping import fused_gates, on_all_steps, runs_all_steps, zero_states
from .whole import Site, WholeLayer, whole_layer
from .writer import BATCH


@dataclass(frozen=True)
class CallEnd:
    """One output of one layer call, where a boundary stands."""

    call: LayerCall
    position: int
    shape: tuple[int | None, ...]
    dtype: str

    @property
    def name(self) -> str:
        return self.call.boundary(self.position)


@dataclass(frozen=True)
class Traced:
    """The traced function, and what its opaque operations stand for.

    Attributes:
        function: inputs, then one argument a variable.
        inputs: the model's, in order of the function's arguments ``input_0`` …
        variables: path of each variable, in order of its arguments ``weight_0`` …
        outputs: names of the model's outputs, in order.
        sites: the calls that a handler writes, by token.
        boundaries: the outputs of all calls, by token.
        order: the boundaries' names, by the place of their layers in the model. (Keras runs branches of one depth last
            to first.)
        loops: the loops over time steps, by token.
        scopes: name scope of a call → layer path, for messages.
        constants: arrays that the model holds outside its variables, by the name of the function's extra argument.
    """

    function: Any
    inputs: tuple[KerasInput, ...]
    variables: tuple[str, ...]
    outputs: tuple[tuple[str, tuple[int | None, ...], str], ...]
    sites: tuple[tuple[WholeLayer, Site], ...]
    boundaries: tuple[CallEnd, ...]
    order: tuple[str, ...]
    loops: tuple[Loop, ...]
    scopes: Mapping[str, str]
    constants: Mapping[str, Array]


@dataclass
class _Tracer:
    """Collects what the opaque operations stand for while Keras runs the model."""

    sites: list[tuple[WholeLayer, Site]] = field(default_factory=list)
    boundaries: list[CallEnd] = field(default_factory=list)
    scopes: dict[str, str] = field(default_factory=dict)
    calls: list[LayerCall] = field(default_factory=list)
    batch: str = BATCH
    failure: TorchgraftError | None = None

    def __post_init__(self) -> None:
        self.recurrences = Recurrences(lambda: (self.calls[-1].name if self.calls else "loop", self.batch))

    @contextmanager
    def traceable(self, where: str) -> Iterator[None]:
        """Turn what the model's own code raises on symbols into an UnsupportedError.

        The innermost layer's is kept: Keras raises every error anew, as the same type with another text
        (``inject_argument_info_in_traceback``), at each layer around it.
        """
        try:
            yield
        except Exception as error:
            if self.failure is None:
                self.failure = error if isinstance(error, TorchgraftError) else _untraceable(error, where)
                self.failure.where = self.failure.where or where
            raise self.failure from error

    def around(
        self, call: LayerCall, original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        scope = scope_of(call.name)
        self.scopes[scope] = call.path
        self.calls.append(call)
        with tf.name_scope(f"{scope}/"):
            handler = _handler(call.layer, args, kwargs)
            with self.traceable(f"layer {call.path}"):
                if handler is not None:
                    result = self._whole(handler, call, args[0])
                elif runs_all_steps(call.layer, args):
                    outside, self.batch = self.batch, f"{self.batch} x {args[0].shape[1]}"
                    result = on_all_steps(call.layer, args, kwargs)
                    self.batch = outside
                else:
                    result = original(*args, **kwargs)
            self.calls.pop()
            with self.traceable(f"layer {call.path}"):  # a shape of unknown rank
                return result if call.inner else self._marked(call, result)

    def _whole(self, handler: WholeLayer, call: LayerCall, x: tf.Tensor) -> tf.Tensor:
        layer = call.layer
        weights = {
            name: tf.convert_to_tensor(getattr(layer, name))
            for name in handler.weights
            if getattr(layer, name, None) is not None
        }
        shape = tuple(x.shape)
        site = Site(
            layer,
            call.name,
            input_shape=shape,
            output_shape=tuple(layer.compute_output_shape(shape)),
            input_dtype=x.dtype.name,
            dtype=handler.dtype(layer) if handler.dtype else _dtype_of([*weights.values(), x]),
            weights={name: (tuple(weight.shape), weight.dtype.name) for name, weight in weights.items()},
            batch=self.batch,
        )
        reason = handler.refuse(site)
        if reason:
            raise UnsupportedError(
                f"{type(layer).__name__} cannot be exported: {reason}",
                where=f"layer {call.path}",
                fix="give samples or an Input of fixed size, or another option",
            )
        y = opaque(f"{SITE} {len(self.sites)}", [x, *weights.values()], site.output_shape, tf.as_dtype(site.dtype))
        self.sites.append((handler, site))
        activation = getattr(layer, "activation", None)
        return y if activation is None or not handler.weights else activation(y)

    def _marked(self, call: LayerCall, result: Any) -> Any:
        flat = keras.tree.flatten(result)
        for position, value in enumerate(flat):
            if tf.is_tensor(value):
                flat[position] = opaque(f"{BOUNDARY} {len(self.boundaries)}", [value], value.shape, value.dtype)
                self.boundaries.append(CallEnd(call, position, tuple(value.shape), value.dtype.name))
        return keras.tree.pack_sequence_as(result, flat)


def _dtype_of(tensors: list[tf.Tensor]) -> str:
    return str(tensors[0].dtype.name)


def _handler(layer: keras.Layer, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> WholeLayer | None:
    """The handler for this call, if its one argument is a tensor and the handler knows what a mask means."""
    handler = whole_layer(layer)
    if handler is None or len(args) != 1 or not isinstance(args[0], tf.Tensor):
        return None
    if any(value is True for name, value in kwargs.items() if name != "training"):
        return None  # a way of its own to call the layer: ReversibleEmbedding's reverse=True
    return None if handler.reads_mask and kwargs.get("mask") is not None else handler


def _untraceable(error: Exception, where: str) -> UnsupportedError:
    lines = str(error).strip().splitlines() or [""]
    return UnsupportedError(
        f"its call cannot be traced: {type(error).__name__}: {lines[0]}",
        where=where,
        fix="let its call use keras.ops only, without branching on the values of tensors",
        details=tuple(lines[1:]),
    )


def trace(model: keras.Model, given: Mapping[str, Array]) -> Traced:
    """Run ``model`` once on symbols.

    ``given`` has an array for every input name; its sizes beyond the batch are those of the graph.
    """
    inputs = model_inputs(model, given)
    variables = variable_paths(model)
    tracer = _Tracer()
    outputs: list[tuple[str, tuple[int | None, ...], str]] = []

    def function(*arguments: tf.Tensor) -> list[tf.Tensor]:
        tensors, weights = arguments[: len(inputs)], arguments[len(inputs) :]
        held = [*zip(variables.values(), weights, strict=True), *zero_states(model)]
        scope = keras.StatelessScope(state_mapping=held)
        steps, calls = tracer.recurrences.collected(), intercepted_calls(model, tracer.around)
        operations = _named_operations(model, tracer.scopes)
        traceable = tracer.traceable(f"model {model.name}")
        with scope, steps, whole_activations(), fused_gates(model), calls, operations, traceable:
            named = named_outputs(model, call_model(model, tensors, [entry.name for entry in inputs]))
        outputs.extend((name, tuple(value.shape), value.dtype.name) for name, value in named.items())
        return list(named.values())

    signature = [
        *(tf.TensorSpec(entry.shape, entry.dtype, name=f"input_{place}") for place, entry in enumerate(inputs)),
        *(tf.TensorSpec(v.shape, v.dtype, name=f"weight_{place}") for place, v in enumerate(variables.values())),
    ]
    with tf.device("/CPU:0"):
        concrete = tf.function(function, autograph=False).get_concrete_function(*signature)
    return Traced(
        concrete,
        inputs,
        tuple(variables),
        tuple(outputs),
        tuple(tracer.sites),
        tuple(tracer.boundaries),
        _by_layer(model, tracer.boundaries),
        tuple(tracer.recurrences.loops),
        tracer.scopes,
        eager_constants(concrete.graph.captures),
    )


@contextmanager
def _named_operations(model: keras.Model, scopes: dict[str, str]) -> Iterator[None]:
    """Each function of ``keras.ops`` that a functional model calls, which is no layer, runs in a scope of its own."""
    containers = {"": model, **{f"{path}/": layer for path, layer in layer_paths(model).items()}}
    wrapped = {
        id(operation): (f"{prefix}{operation.name}", operation)
        for prefix, container in containers.items()
        for operation in getattr(container, "operations", ())
        if not isinstance(operation, keras.Layer)
    }
    try:
        for path, operation in wrapped.values():
            scope = scope_of(path)
            scopes[scope] = path
            operation.__dict__["call"] = _scoped(operation.call, scope)
        yield
    finally:
        for _, operation in wrapped.values():
            del operation.__dict__["call"]


def _scoped(original: Callable[..., Any], scope: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with tf.name_scope(f"{scope}/"):
            return original(*args, **kwargs)

    return call


def scope_of(path: str) -> str:
    """A path as TensorFlow takes it for a name scope."""
    scope = re.sub(r"[^A-Za-z0-9_./-]", "_", path)
    return scope if scope[0].isalnum() else f"_{scope}".replace("_", "L", 1)


def _by_layer(model: keras.Model, ends: Sequence[CallEnd]) -> tuple[str, ...]:
    places = {path: place for place, path in enumerate(layer_paths(model))}
    ordered = sorted(ends, key=lambda end: (end.call.index, places.get(end.call.path, len(places))))
    return tuple(end.name for end in ordered)
