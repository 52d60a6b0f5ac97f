"""ConvLSTM1D, 2D and 3D onto cells written by hand: one convolution over both inputs, two, or one a gate."""

from __future__ import annotations

from collections.abc import Callable

import keras
import pytest
import torch
from end_to_end.grafting import assert_grafted
from keras import layers
from keras_models import randomised
from torch import nn

STEPS, CHANNELS, UNITS = 3, 2, 3
SIZES = {1: (5,), 2: (5, 4), 3: (4, 3, 5)}
CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
KERAS = {1: layers.ConvLSTM1D, 2: layers.ConvLSTM2D, 3: layers.ConvLSTM3D}


def clip(rank: int, **options: object) -> keras.Model:
    x = keras.Input((STEPS, *SIZES[rank], CHANNELS), name="clip")
    return randomised(keras.Model(x, KERAS[rank](UNITS, 3, padding="same", **options)(x)))


class Cell(nn.Module):
    """What every such cell does with its gates; ``each``: the state after every step."""

    def __init__(self, rank: int, *, each: bool = False) -> None:
        super().__init__()
        self.rank, self.each = rank, each

    def convolution(self, inputs: int, outputs: int, **options: object) -> nn.Module:
        return CONVOLUTIONS[self.rank](inputs, outputs, 3, padding=1, **options)

    def gates(self, x: torch.Tensor, h: torch.Tensor) -> list[torch.Tensor]:
        raise NotImplementedError

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        h = c = clip.new_zeros(len(clip), UNITS, *clip.shape[3:])
        states = []
        for x in clip.unbind(1):
            i, f, g, o = self.gates(x, h)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            states.append(h)
        return torch.stack(states, 1) if self.each else h


class OneConvolution(Cell):
    """One convolution over [x, h], with the gates in an order of its own."""

    def __init__(self, rank: int, order: str = "ifgo", *, each: bool = False) -> None:
        super().__init__(rank, each=each)
        self.order, self.conv = order, self.convolution(CHANNELS + UNITS, 4 * UNITS)

    def gates(self, x: torch.Tensor, h: torch.Tensor) -> list[torch.Tensor]:
        found = dict(zip(self.order, self.conv(torch.cat([x, h], 1)).chunk(4, 1), strict=True))
        return [found[gate] for gate in "ifgo"]


class TwoConvolutions(Cell):
    def __init__(self, rank: int, *, each: bool = False) -> None:
        super().__init__(rank, each=each)
        self.of_input = self.convolution(CHANNELS, 4 * UNITS)
        self.of_state = self.convolution(UNITS, 4 * UNITS, bias=False)

    def gates(self, x: torch.Tensor, h: torch.Tensor) -> list[torch.Tensor]:
        return list((self.of_input(x) + self.of_state(h)).chunk(4, 1))


class FourConvolutions(Cell):
    """A convolution a gate, each over [x, h]."""

    def __init__(self, rank: int, *, each: bool = False) -> None:
        super().__init__(rank, each=each)
        self.conv = nn.ModuleDict({gate: self.convolution(CHANNELS + UNITS, UNITS) for gate in "fiog"})

    def gates(self, x: torch.Tensor, h: torch.Tensor) -> list[torch.Tensor]:
        both = torch.cat([x, h], 1)
        return [self.conv[gate](both) for gate in "ifgo"]


class EightConvolutions(Cell):
    """Two a gate: Wxi, Whi, …"""

    def __init__(self, rank: int, *, each: bool = False) -> None:
        super().__init__(rank, each=each)
        self.of_input = nn.ModuleDict({gate: self.convolution(CHANNELS, UNITS) for gate in "ifgo"})
        self.of_state = nn.ModuleDict({gate: self.convolution(UNITS, UNITS, bias=False) for gate in "ifgo"})

    def gates(self, x: torch.Tensor, h: torch.Tensor) -> list[torch.Tensor]:
        return [self.of_input[gate](x) + self.of_state[gate](h) for gate in "ifgo"]


def channels_second(tensor: torch.Tensor) -> torch.Tensor:
    """(N, T, …, C) → (N, T, C, …)."""
    return tensor.movedim(-1, 2).contiguous()


CELLS: dict[str, Callable[[int], Cell]] = {
    "one": OneConvolution,
    "one, other gates": lambda rank: OneConvolution(rank, "fogi"),
    "two": TwoConvolutions,
    "four": FourConvolutions,
    "eight": EightConvolutions,
}


#: The others run with the long ones.
ALWAYS = ((1, "one"), (2, "one, other gates"), (2, "four"), (3, "eight"))


@pytest.mark.parametrize(
    ("rank", "cell"),
    [
        pytest.param(rank, cell, marks=() if (rank, cell) in ALWAYS else pytest.mark.long)
        for rank in KERAS
        for cell in CELLS
    ],
)
def test_a_convolutional_lstm_onto_a_cell_written_by_hand(rank: int, cell: str) -> None:
    assert_grafted(clip(rank), CELLS[cell](rank), layout=channels_second)


def test_every_step_of_a_convolutional_lstm() -> None:
    class Laid(TwoConvolutions):
        def forward(self, clip: torch.Tensor) -> torch.Tensor:
            return super().forward(clip).movedim(2, -1)

    assert_grafted(clip(2, return_sequences=True), Laid(2, each=True), layout=channels_second)
