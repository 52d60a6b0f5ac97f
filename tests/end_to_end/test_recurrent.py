"""From Keras' recurrent layers onto nn.LSTM, nn.GRU, nn.RNN, their cells in a loop, and plain linear layers."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
import torchgraft
from keras import layers
from keras_models import inputs_for, randomised
from torch import nn

STEPS, FEATURES, UNITS = 5, 3, 4


def series(*stack: layers.Layer, shape: tuple[int, ...] = (STEPS, FEATURES)) -> keras.Model:
    return randomised(keras.Sequential([keras.Input(shape, name="series"), *stack]))


def lstm() -> keras.Model:
    return series(layers.LSTM(UNITS, name="lstm"), layers.Dense(2))


def gru() -> keras.Model:
    return series(layers.GRU(UNITS, name="gru"), layers.Dense(2))


def both_ways(kind: type[layers.Layer]) -> keras.Model:
    stack = [layers.Bidirectional(kind(UNITS, return_sequences=True)) for _ in range(2)]
    return series(*stack, layers.Dense(2))


class Last(nn.Module):
    """A recurrent layer of torch's, and a head on the last step, or on each."""

    def __init__(self, rnn: nn.RNNBase, *, each: bool = False) -> None:
        super().__init__()
        self.rnn, self.each = rnn, each
        self.head = nn.Linear(rnn.hidden_size * (2 if rnn.bidirectional else 1), 2)

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        x = series if self.rnn.batch_first else series.transpose(0, 1)
        y = self.rnn(x)[0]
        y = y if self.rnn.batch_first else y.transpose(0, 1)
        return self.head(y if self.each else y[:, -1])


class Loop(nn.Module):
    """A cell of torch's in a loop."""

    def __init__(self, cell: nn.RNNCellBase) -> None:
        super().__init__()
        self.cell, self.head = cell, nn.Linear(UNITS, 2)

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        state = None
        for x in series.unbind(1):
            state = self.cell(x, state)
        return self.head(state[0] if isinstance(state, tuple) else state)


class Spelled(nn.Module):
    """An LSTM cell out of linear layers; ``order`` is that of its gates."""

    def __init__(self, order: str = "ifgo") -> None:
        super().__init__()
        self.order = order
        self.of_input, self.of_state = nn.Linear(FEATURES, 4 * UNITS), nn.Linear(UNITS, 4 * UNITS)
        self.head = nn.Linear(UNITS, 2)

    def gates(self, x: torch.Tensor, h: torch.Tensor) -> dict[str, torch.Tensor]:
        return dict(zip(self.order, (self.of_input(x) + self.of_state(h)).chunk(4, -1), strict=True))

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        h = c = series.new_zeros(len(series), UNITS)
        for t in range(series.shape[1]):
            gate = self.gates(series[:, t], h)
            c = gate["f"].sigmoid() * c + gate["i"].sigmoid() * gate["g"].tanh()
            h = gate["o"].sigmoid() * c.tanh()
        return self.head(h)


class OneProduct(Spelled):
    """One linear layer over [x, h], as textbooks have it."""

    def __init__(self) -> None:
        super().__init__()
        del self.of_input, self.of_state
        self.of_both = nn.Linear(FEATURES + UNITS, 4 * UNITS)

    def gates(self, x: torch.Tensor, h: torch.Tensor) -> dict[str, torch.Tensor]:
        return dict(zip(self.order, self.of_both(torch.cat([x, h], -1)).chunk(4, -1), strict=True))


class BeforeTheLoop(Spelled):
    """The input's products of all steps at once; ``time_first``: on (T, N, F)."""

    def __init__(self, *, time_first: bool = False) -> None:
        super().__init__()
        self.time_first = time_first

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        products = self.of_input(series.transpose(0, 1)) if self.time_first else self.of_input(series).transpose(0, 1)
        h = c = series.new_zeros(len(series), UNITS)
        for product in products:
            i, f, g, o = (product + self.of_state(h)).chunk(4, -1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        return self.head(h)


class GateByGate(Spelled):
    """Eight linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.of_input = nn.ModuleDict({gate: nn.Linear(FEATURES, UNITS) for gate in "ofgi"})
        self.of_state = nn.ModuleDict({gate: nn.Linear(UNITS, UNITS, bias=False) for gate in "ofgi"})

    def gates(self, x: torch.Tensor, h: torch.Tensor) -> dict[str, torch.Tensor]:
        return {gate: self.of_input[gate](x) + self.of_state[gate](h) for gate in "ofgi"}


class Matrices(Spelled):
    """Parameters of its own; ``first``: which product stands first. One bias is added last."""

    def __init__(self, first: str) -> None:
        super().__init__()
        del self.of_input, self.of_state
        self.first, self.bias = first, nn.Parameter(torch.zeros(4 * UNITS))
        self.kernel, self.recurrent = nn.Parameter(torch.zeros(FEATURES, 16)), nn.Parameter(torch.zeros(UNITS, 16))

    def gates(self, x: torch.Tensor, h: torch.Tensor) -> dict[str, torch.Tensor]:
        products = [x @ self.kernel, h @ self.recurrent]
        one, other = products if self.first == "x" else reversed(products)
        return dict(zip(self.order, (one + other + self.bias).chunk(4, -1), strict=True))


class ResetBefore(nn.Module):
    """The GRU cell that nn.GRU cannot be: the reset gate acts on the state before the product."""

    def __init__(self) -> None:
        super().__init__()
        self.of_input = nn.Linear(FEATURES, 3 * UNITS)
        self.of_state = nn.Linear(UNITS, 2 * UNITS, bias=False)
        self.of_reset = nn.Linear(UNITS, UNITS, bias=False)
        self.head = nn.Linear(UNITS, 2)

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        h = series.new_zeros(len(series), UNITS)
        for t in range(series.shape[1]):
            update, reset, new = self.of_input(series[:, t]).chunk(3, -1)
            more_update, more_reset = self.of_state(h).chunk(2, -1)
            update, reset = (update + more_update).sigmoid(), (reset + more_reset).sigmoid()
            h = update * h + (1 - update) * (new + self.of_reset(reset * h)).tanh()
        return self.head(h)


class Convolving(nn.Module):
    """A convolutional LSTM, as there are many: one convolution for all gates of either input."""

    def __init__(self) -> None:
        super().__init__()
        self.of_input = nn.Conv2d(FEATURES, 4 * UNITS, 3, padding=1)
        self.of_state = nn.Conv2d(UNITS, 4 * UNITS, 3, padding=1, bias=False)

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        h = c = clip.new_zeros(len(clip), UNITS, *clip.shape[-2:])
        for t in range(clip.shape[1]):
            i, f, g, o = (self.of_input(clip[:, t]) + self.of_state(h)).chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        return h


PAIRS = {
    "nn.LSTM": (lstm, lambda: Last(nn.LSTM(FEATURES, UNITS, batch_first=True))),
    "nn.GRU": (gru, lambda: Last(nn.GRU(FEATURES, UNITS, batch_first=True))),
    "nn.RNN": (
        lambda: series(layers.SimpleRNN(UNITS), layers.Dense(2)),
        lambda: Last(nn.RNN(FEATURES, UNITS, batch_first=True)),
    ),
    "nn.RNN with ReLU, without biases": (
        lambda: series(layers.SimpleRNN(UNITS, activation="relu", use_bias=False), layers.Dense(2)),
        lambda: Last(nn.RNN(FEATURES, UNITS, nonlinearity="relu", bias=False, batch_first=True)),
    ),
    "layers and directions in one nn.LSTM": (
        lambda: both_ways(layers.LSTM),
        lambda: Last(nn.LSTM(FEATURES, UNITS, num_layers=2, bidirectional=True, batch_first=True), each=True),
    ),
    "layers and directions in one nn.GRU, time first": (
        lambda: both_ways(layers.GRU),
        lambda: Last(nn.GRU(FEATURES, UNITS, num_layers=2, bidirectional=True), each=True),
    ),
    "nn.LSTMCell": (lstm, lambda: Loop(nn.LSTMCell(FEATURES, UNITS))),
    "nn.GRUCell": (gru, lambda: Loop(nn.GRUCell(FEATURES, UNITS))),
    "nn.RNNCell": (
        lambda: series(layers.SimpleRNN(UNITS), layers.Dense(2)),
        lambda: Loop(nn.RNNCell(FEATURES, UNITS)),
    ),
    "two linear layers": (lstm, Spelled),
    "two linear layers, gates in another order": (lstm, lambda: Spelled("ofgi")),
    "one linear layer over both": (lstm, OneProduct),
    "eight linear layers": (lstm, GateByGate),
    "matrices, the bias added last": (lstm, lambda: Matrices("x")),
    "matrices, the state's product first": (lstm, lambda: Matrices("h")),
    "products of all steps before the loop": (lstm, BeforeTheLoop),
    "products of all steps before the loop, time first": (lstm, lambda: BeforeTheLoop(time_first=True)),
    "reset before the product": (
        lambda: series(layers.GRU(UNITS, reset_after=False), layers.Dense(2)),
        ResetBefore,
    ),
}


def graft(model: keras.Model, module: nn.Module) -> torchgraft.Conversion:
    return torchgraft.convert(model, module, inputs=inputs_for(model, 4))


@pytest.mark.parametrize("name", PAIRS)
def test_every_key_is_placed_and_the_outputs_agree(name: str) -> None:
    make, write = PAIRS[name]
    model, module = make(), write()
    conversion = graft(model, module)
    assert conversion.verified, [str(finding) for finding in conversion.findings]
    assert not conversion.findings
    module.load_state_dict(conversion.state_dict, strict=True)
    fresh = inputs_for(model, 6, seed=9)["series"]
    expected = np.asarray(model(fresh, training=False))

    def difference() -> float:
        with torch.no_grad():
            return float(
                np.abs(module.eval()(torch.from_numpy(fresh)).numpy() - expected).max() / np.abs(expected).max()
            )

    assert difference() <= 1e-4  # the default rtol
    key = next(key for key, tensor in conversion.state_dict.items() if tensor.dim() > 1)
    module.load_state_dict({**conversion.state_dict, key: conversion.state_dict[key].flip(0)}, strict=True)
    assert difference() > 1e-3, f"{key} upside down makes no difference"


def test_the_gates_of_a_gru_stand_in_torchs_order_and_both_biases_are_keras() -> None:
    model = gru()
    conversion = graft(model, Last(nn.GRU(FEATURES, UNITS, batch_first=True)))
    kernel, recurrent, bias, *_ = (np.array(weight) for weight in model.get_weights())
    order = np.r_[UNITS : 2 * UNITS, 0:UNITS, 2 * UNITS : 3 * UNITS]  # z, r, h → r, z, n
    state = conversion.state_dict
    for key, wanted in {
        "rnn.weight_ih_l0": kernel.T[order],
        "rnn.weight_hh_l0": recurrent.T[order],
        "rnn.bias_ih_l0": bias[0][order],
        "rnn.bias_hh_l0": bias[1][order],
    }.items():
        assert np.array_equal(state[key].numpy(), wanted), key


def test_the_second_bias_of_an_lstm_is_a_stated_zero() -> None:
    conversion = graft(lstm(), Last(nn.LSTM(FEATURES, UNITS, batch_first=True)))
    assert str(conversion.plan["rnn.bias_hh_l0"]) == "fill(0)"
    assert str(conversion.plan["rnn.bias_ih_l0"]) == "lstm/lstm_cell/bias"


@pytest.mark.parametrize(
    "write", [lambda: Last(nn.GRU(FEATURES, UNITS, batch_first=True)), lambda: Loop(nn.GRUCell(3, 4))]
)
def test_what_nn_gru_cannot_be_is_a_finding_with_place_cause_and_fix(write) -> None:
    conversion = graft(series(layers.GRU(UNITS, reset_after=False, name="gru"), layers.Dense(2)), write())
    assert not conversion.verified
    first = conversion.findings[0]
    assert (first.severity, first.place in ("rnn", "cell"), first.layer) == ("error", True, "gru")
    assert "reset_after=False" in first.cause
    assert "F.linear(r * h, weight_n)" in first.fix
    assert not any("reset_after" in finding.cause for finding in graft(gru(), write()).findings)


def test_it_is_a_finding_where_layers_stand_in_one_module_too() -> None:
    stack = [layers.GRU(UNITS, reset_after=False, return_sequences=each) for each in (True, False)]
    conversion = graft(series(*stack, layers.Dense(2)), Last(nn.GRU(FEATURES, UNITS, num_layers=2, batch_first=True)))
    assert not conversion.verified
    assert "reset_after=False" in conversion.findings[0].cause


class BothLast(nn.Module):
    """A bidirectional layer and a head: on the last states, or on the last step of what it gives."""

    def __init__(self, *, states: bool) -> None:
        super().__init__()
        self.rnn, self.states = nn.LSTM(FEATURES, UNITS, batch_first=True, bidirectional=True), states
        self.head = nn.Linear(2 * UNITS, 2)

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        y, (h, _) = self.rnn(series)
        return self.head(torch.cat([h[-2], h[-1]], -1) if self.states else y[:, -1])


def test_the_last_step_of_both_directions_is_told_from_their_last_states() -> None:
    model = series(layers.Bidirectional(layers.LSTM(UNITS), name="both"), layers.Dense(2))
    assert graft(model, BothLast(states=True)).verified
    conversion = graft(model, BothLast(states=False))
    assert not conversion.verified
    assert (conversion.findings[0].layer, "take h_n" in conversion.findings[0].fix) == ("both", True)


def test_states_with_the_axis_of_torchs_layers_are_keras_states() -> None:
    class States(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.LSTM(FEATURES, UNITS, batch_first=True)

        def forward(self, series: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
            return self.rnn(series)

    x = keras.Input((STEPS, FEATURES), name="series")
    model = randomised(keras.Model(x, layers.LSTM(UNITS, return_sequences=True, return_state=True)(x)))
    conversion = graft(model, States())
    assert conversion.verified, [str(finding) for finding in conversion.findings]
    assert [fit.layout for fit in conversion.fit.outputs.values()][1:] == ["1 n c -> n c"] * 2


def test_a_convolutional_lstm_onto_a_cell_written_by_hand() -> None:
    model = series(layers.ConvLSTM2D(UNITS, 3, padding="same"), shape=(3, 5, 6, FEATURES))
    module = Convolving()
    conversion = graft(model, module)
    assert conversion.verified, [str(finding) for finding in conversion.findings]
    kernel, recurrent, bias = (np.array(weight) for weight in model.get_weights())
    assert np.array_equal(conversion.state_dict["of_input.weight"].numpy(), kernel.transpose(3, 2, 0, 1))
    assert np.array_equal(conversion.state_dict["of_state.weight"].numpy(), recurrent.transpose(3, 2, 0, 1))
    assert np.array_equal(conversion.state_dict["of_input.bias"].numpy(), bias)
    lopsided = Convolving()
    lopsided.of_state = nn.Conv2d(UNITS, 4 * UNITS, 3, padding="same", dilation=2, bias=False)
    assert not graft(model, lopsided).verified


def test_a_cell_of_fewer_gates_is_not_verified() -> None:
    class Swapped(Spelled):
        """One gate both lets in and keeps: no order of the weights makes that Keras'."""

        def gates(self, x: torch.Tensor, h: torch.Tensor) -> dict[str, torch.Tensor]:
            found = super().gates(x, h)
            return {**found, "f": found["i"]}

    conversion = graft(lstm(), Swapped())
    assert not conversion.verified
