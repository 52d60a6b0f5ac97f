"""Activations, alone and behind a layer, and what does nothing at inference."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from hypothesis import strategies as st
from keras import layers
from torch import nn

from .description import Draw, Options, Piece, Shape

MODULES = {
    "linear": nn.Identity,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "hard_sigmoid": nn.Hardsigmoid,
    "hard_silu": nn.Hardswish,
    "softplus": nn.Softplus,
    "softsign": nn.Softsign,
    "mish": nn.Mish,
    "log_sigmoid": nn.LogSigmoid,
    "celu": nn.CELU,
    "tanh_shrink": nn.Tanhshrink,
    "hard_tanh": nn.Hardtanh,
}
ACTIVATIONS = tuple(MODULES)


def with_activation(module: nn.Module, name: str) -> nn.Module:
    return module if name == "linear" else nn.Sequential(module, MODULES[name]())


def _activation(draw: Draw, shapes: list[Shape]) -> Options:
    return {"activation": draw(st.sampled_from(ACTIVATIONS[1:]))}


def _activation_twin(options: Options, shapes: list[Shape]) -> nn.Module:
    return MODULES[options["activation"]]()


def _relu(draw: Draw, shapes: list[Shape]) -> Options:
    return draw(st.sampled_from([{}, {"max_value": 6.0}, {"negative_slope": 0.25}]))


def _relu_twin(options: Options, shapes: list[Shape]) -> nn.Module:
    if "negative_slope" in options:
        return nn.LeakyReLU(options["negative_slope"])
    return nn.ReLU6() if options else nn.ReLU()


def _prelu(draw: Draw, shapes: list[Shape]) -> Options:
    return {"shared_axes": list(range(1, len(shapes[0])))}


def _softmax(draw: Draw, shapes: list[Shape]) -> Options | None:
    return {} if shapes[0][-1] > 1 else None


NOISE = {"stddev": 0.5, "seed": 1}


def nothing(draw: Draw, shapes: list[Shape]) -> Options:
    return {}


def activating() -> Iterator[Piece]:
    every = (1, 2, 3)
    yield Piece(
        "Activation", every, _activation, layers.Activation, lambda options, _: MODULES[options["activation"]]()
    )
    yield Piece("ReLU", every, _relu, layers.ReLU, _relu_twin)
    yield Piece("Softmax", every, _softmax, layers.Softmax, lambda options, _: nn.Softmax(dim=1))
    yield Piece("PReLU", (2, 3), _prelu, layers.PReLU, lambda options, shapes: nn.PReLU(shapes[0][-1]))
    yield Piece("Dropout", every, lambda *_: {"rate": 0.5, "seed": 1}, layers.Dropout, lambda *_: nn.Dropout(0.5))
    yield Piece("GaussianNoise", every, lambda *_: NOISE, layers.GaussianNoise, lambda *_: nn.Identity())


class Mean(nn.Module):
    """The mean, or the maximum, over the spatial axes."""

    def __init__(self, *, maximum: bool = False, keep: bool = False) -> None:
        super().__init__()
        self.maximum, self.keep = maximum, keep

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        over = tuple(range(2, x.dim()))
        return x.amax(over, keepdim=self.keep) if self.maximum else x.mean(over, keepdim=self.keep)


def _kept(draw: Draw, shapes: list[Shape]) -> Options:
    return {"keepdims": draw(st.booleans())}


def reducing() -> Iterator[Piece]:
    for number in (1, 2):
        for mode in ("Average", "Max"):
            name = f"Global{mode}Pooling{number}D"
            yield Piece(
                name,
                (number + 1,),
                _kept,
                getattr(layers, name),
                lambda options, _, mode=mode: Mean(maximum=mode == "Max", keep=options["keepdims"]),
            )
