"""Op: one call of a parameterised operation, in a form that two modules written differently share.

A module is seen as parameterised operations (convolution, linear, normalisation, …) joined by glue (everything
without a parameter: activations, pooling, padding, reshapes). Glue is only ever run; it is never interpreted. A
parameter that enters glue (a class token, a table of biases) is an op of its own, that reads nothing.

Canonical forms, so that equal functions are equal ops:

1. A convolution takes its input already padded and cropped to what the kernel touches. ``Conv2d(padding=1)``,
   ``ZeroPad2d`` before a valid convolution, and ``padding='same'`` are then one op.
2. A 1×1 convolution without groups is ``linear`` over the channel axis, at the positions that its stride meets.
3. ``x @ w``, ``addmm`` and ``linear`` are ``linear`` with weight (out, in).
4. A transposed convolution gives its whole output; ``padding`` crops it and ``output_padding`` extends it after.
5. The operand of an elementwise op drops its leading axes of length 1, all of them where it is one number; one with a
   single axis acts on channels.
6. ``table[ids]`` is ``embedding``.
7. A convolution whose kernel covers its whole input is ``linear`` over the flattened input.
8. An instance normalisation without statistics is a group normalisation of as many groups as channels.
9. An RMS normalisation is its weight times the normalised input.
10. A bias that is added to the output of a bias-free linear operation or convolution is its bias,
    behind a change of layout or a sum of them, too (biases.py).
11. A learned number that scales one side of a product scales the product (scales.py).
12. A convolution drops spatial axes of length 1 that its kernel does not look along.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch.nn import functional

from ..plan import Move, Shape

#: (axis, start, stop) of a tensor.
Section: TypeAlias = tuple[int, int, int]

ELEMENTWISE = ("add", "sub", "mul", "div", "maximum", "minimum", "pow")
#: The kind of a parameter that enters glue.
PARAMETER = "parameter"
CHANNELWISE = ("batch_norm", "prelu", "instance_norm")
CONVOLUTIONS = ("conv1d", "conv2d", "conv3d")
TRANSPOSED = ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
NORMALISATIONS = ("batch_norm", "layer_norm", "group_norm", "instance_norm")
#: Operations that put the axes in another order.
TURNS = (
    *("t", "permute", "transpose", "swapaxes", "swapdims", "movedim", "moveaxis"),
    *("numpy_T", "mT", "matrix_H", "mH", "adjoint"),  # how ``.T``, ``.mT``, ``.H`` and ``.mH`` are called
)
#: Operations that compute nothing: they hand on the elements that they are given, in any layout.
MOVEMENTS = (
    *("detach", "clone", "contiguous", "alias", "lift_fresh_copy", "dropout", "feature_dropout"),
    *("view", "reshape", "unsqueeze", "squeeze", "flatten", "_unsafe_view", "unflatten"),
    *TURNS,
)
#: Slots that a module may lack, and the constant that says the same (``affine=False``, ``bias=False``).
NEUTRAL: Mapping[tuple[str, str], float] = {
    **{(kind, "bias"): 0.0 for kind in ("linear", *CONVOLUTIONS, *TRANSPOSED, *NORMALISATIONS)},
    **{(kind, "weight"): 1.0 for kind in NORMALISATIONS},
}


@dataclass(frozen=True)
class Slot:
    """One parameter or buffer of an op.

    Attributes:
        key: its key in the state_dict.
        shape: in canonical form.
        moves: from the tensor under ``key``, or that section of it, to the canonical form.
        section: which positions of the tensor it is, where it is not all of it (``in_proj_weight[:E]``).
        whole: how many elements the tensor under ``key`` has, where it is a section.
    """

    key: str
    shape: Shape
    moves: tuple[Move, ...] = ()
    section: Section | None = None
    whole: int = 0

    @property
    def size(self) -> int:
        """How many elements stand under ``key``."""
        return self.whole or math.prod(self.shape)


@dataclass(frozen=True)
class Op:
    """One call of a parameterised operation.

    Attributes:
        name: unique in its graph.
        kind: canonical ("conv2d", "linear", "batch_norm", …).
        place: path of the module that makes the call ("blocks.2.bn").
        slots: canonical slot name ("weight", "bias", "running_mean", …) → Slot.
        hyper: the settings, canonical ("stride", "eps", …).
        feature_axis: axis of the input that the weights run along; None where there is none.
        reads: name of the value that it reads; "" where unknown.
        sources: names of the ops (or inputs) that feed it through glue alone; empty where unknown.
    """

    name: str
    kind: str
    place: str
    slots: Mapping[str, Slot]
    hyper: Mapping[str, Any]
    feature_axis: int | None
    reads: str = ""
    sources: frozenset[str] = frozenset()

    @property
    def signature(self) -> tuple[object, ...]:
        """What a counterpart must share: the kind and the shapes that cannot be left out."""
        shapes = {name: slot.shape for name, slot in self.slots.items() if (self.kind, name) not in NEUTRAL}
        if self.kind in ("layer_norm", "group_norm"):
            shapes |= {"features": tuple(self.hyper["features"])}
        if self.kind == PARAMETER:
            shapes = {"size": (math.prod(shapes["value"]),)}
        if self.is_elementwise and self.feature_axis is None:
            shapes |= {"axes": (len(shapes["operand"]),)}
        groups = 1 if self.kind == "group_norm" else self.hyper.get("groups", 1)  # which leave its weights as they are
        return (self.kind, tuple(sorted(shapes.items())), groups)

    @property
    def family(self) -> tuple[object, ...]:
        """What a counterpart must share that may be a part of this one, or hold it as a part."""
        if not self.mixes:
            return self.signature
        shape = self.slots["weight"].shape
        return (self.kind, shape[:1] + shape[2:] if self.kind in TRANSPOSED else shape[1:])

    @property
    def mixes(self) -> bool:
        """Whether every output feature is a sum over all input features with weights of its own."""
        return self.kind == "linear" or (self.kind in (*CONVOLUTIONS, *TRANSPOSED) and self.hyper.get("groups", 1) == 1)

    @property
    def output_axis(self) -> int:
        """The axis of the canonical weight that runs along the output's features."""
        return 1 if self.kind in TRANSPOSED else 0

    @property
    def is_elementwise(self) -> bool:
        return self.kind.partition(" ")[0] in ELEMENTWISE

    @property
    def keeps_channels(self) -> bool:
        """Whether output channel i depends on input channel i alone, so that an order of channels passes through."""
        depthwise = self.kind in CONVOLUTIONS and self.slots["weight"].shape[:2] == (self.hyper["groups"], 1)
        channelwise = self.is_elementwise and self.feature_axis is not None
        return self.kind in CHANNELWISE or depthwise or channelwise

    @property
    def keeps_order(self) -> bool:
        """Whether an order of the input's features is that of the output's: also over features that are mixed alike."""
        return self.keeps_channels or self.kind == "layer_norm"

    def canonical_input(self, value: torch.Tensor) -> torch.Tensor:
        """The input in canonical form (1, 2, 7, 9): padded, and cropped to what the kernel touches.

        Example: ``Conv2d(3, 8, 3, stride=2, padding=1)`` on (N, 3, 32, 32) → (N, 3, 33, 33).
        """
        if "rms" in self.hyper:
            return functional.rms_norm(value, self.hyper["rms"], None, self.hyper["eps"])
        if "covers" in self.hyper:
            return value.flatten(1)
        if "dropped" in self.hyper:
            value = value.squeeze(self.hyper["dropped"])
        if self.kind == "linear" and "stride" in self.hyper:
            for axis, step in enumerate(self.hyper["stride"], start=value.dim() - len(self.hyper["stride"])):
                value = value if step == 1 else value[(slice(None),) * axis + (slice(None, None, step),)]
            return value
        if self.kind not in CONVOLUTIONS:
            return value
        pads = [side for before_after in reversed(self.hyper["padding"]) for side in before_after]
        if any(pads):
            value = functional.pad(value, pads, mode=self.hyper.get("padding_mode", "constant"))
        kernel = self.slots["weight"].shape[2:]
        for axis, (size, stride, dilation) in enumerate(
            zip(kernel, self.hyper["stride"], self.hyper["dilation"], strict=True), start=value.dim() - len(kernel)
        ):
            reach = dilation * (size - 1) + 1
            value = value.narrow(axis, 0, (value.shape[axis] - reach) // stride * stride + reach)
        return value

    def whole_output_shape(self, output: Shape) -> Shape:
        """The shape of the output before ``padding`` cropped it (4), with room for any ``output_padding``."""
        if self.kind not in TRANSPOSED:
            return output
        spatial = [
            size + 2 * pad - extra + stride - 1
            for size, pad, extra, stride in zip(
                output[2:], self.hyper["padding"], self.hyper["output_padding"], self.hyper["stride"], strict=True
            )
        ]
        return (*output[:2], *spatial)

    def finish(self, whole: torch.Tensor, output: Shape) -> torch.Tensor:
        """The output of shape ``output`` out of the whole one."""
        if self.kind not in TRANSPOSED:
            return whole.reshape(output)
        for axis, pad in enumerate(self.hyper["padding"], start=2):
            whole = whole.narrow(axis, pad, output[axis])
        return whole
