"""nn.LSTM, nn.GRU, nn.RNN and their cells are read as the linear operations that they stand for."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils import _pytree as pytree
from torchgraft.stages.torch_graph import read
from torchgraft.stages.torch_graph.recurrent import SpelledOut

LAYERS = {
    "lstm": lambda: nn.LSTM(3, 4),
    "lstm deep, both ways": lambda: nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True),
    "lstm without biases": lambda: nn.LSTM(3, 4, bias=False),
    "lstm projected": lambda: nn.LSTM(3, 4, proj_size=2, num_layers=2, bidirectional=True),
    "lstm projected without biases": lambda: nn.LSTM(3, 4, proj_size=2, bias=False),
    "gru": lambda: nn.GRU(3, 4, dropout=0.5, num_layers=2),
    "gru both ways": lambda: nn.GRU(3, 4, bidirectional=True, batch_first=True),
    "gru without biases": lambda: nn.GRU(3, 4, bias=False),
    "tanh": lambda: nn.RNN(3, 4, num_layers=2, bidirectional=True),
    "relu": lambda: nn.RNN(3, 4, nonlinearity="relu", batch_first=True),
}
CELLS = {
    "lstm": nn.LSTMCell(3, 4),
    "gru": nn.GRUCell(3, 4),
    "tanh": nn.RNNCell(3, 4),
    "relu": nn.RNNCell(3, 4, nonlinearity="relu"),
    "without biases": nn.LSTMCell(3, 4, bias=False),
}


def both(module: nn.Module, *inputs) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(spelled out, fused) of each result."""
    with torch.no_grad():
        fused = module(*inputs)
        with SpelledOut():
            spelled = module(*inputs)
    return list(zip(pytree.tree_leaves(spelled), pytree.tree_leaves(fused), strict=True))


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_spelled_out_gives_all_its_results(name):
    torch.manual_seed(0)
    module = LAYERS[name]().eval()
    for ours, theirs in both(module, torch.randn(5, 2, 3)):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)  # sums of seven products, five steps


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_spelled_out_gives_all_its_results(name):
    for ours, theirs in both(CELLS[name], torch.randn(2, 3)):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_initial_states_and_inputs_without_a_batch_are_taken():
    for ours, theirs in both(nn.GRU(3, 4), torch.randn(5, 2, 3), torch.randn(1, 2, 4)):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    for ours, theirs in both(nn.LSTM(3, 4), torch.randn(5, 3)):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_the_gates_in_another_order_are_another_function():
    torch.manual_seed(0)
    module, other = nn.GRU(3, 4), nn.GRU(3, 4)
    order = torch.cat([torch.arange(4, 8), torch.arange(4), torch.arange(8, 12)])
    other.load_state_dict({key: tensor[order] for key, tensor in module.state_dict().items()})
    x = torch.randn(5, 2, 3)
    with torch.no_grad(), SpelledOut():
        assert (module(x)[0] - other(x)[0]).abs().max() > 1e-2


def test_a_layer_is_two_linear_operations_a_step_under_its_own_keys():
    module = nn.Sequential()
    module.add_module("rnn", nn.LSTM(3, 4, num_layers=2, batch_first=True))
    reading = read(module.eval(), [torch.randn(2, 5, 3)])
    assert [op.kind for op in reading.ops.values()] == ["linear"] * 20
    keys = {slot.key for op in reading.ops.values() for slot in op.slots.values()}
    assert keys == {f"rnn.{key}" for key in module.rnn.state_dict()}
    assert {op.place for op in reading.ops.values()} == {"rnn"}


def test_a_loop_over_a_cell_is_the_same_operations():
    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.LSTMCell(3, 4)

        def forward(self, x):
            states = None
            for t in range(x.shape[1]):
                states = self.cell(x[:, t], states)
            return states[0]

    reading = read(Loop().eval(), [torch.randn(2, 5, 3)])
    assert [op.kind for op in reading.ops.values()] == ["linear"] * 10


def test_a_packed_sequence_stays_fused():
    module = nn.LSTM(3, 4, batch_first=True)
    packed = pack_padded_sequence(torch.randn(2, 5, 3), [5, 3], batch_first=True)
    with torch.no_grad():
        fused, _ = pad_packed_sequence(module(packed)[0], batch_first=True)
        with SpelledOut():
            ours, _ = pad_packed_sequence(module(packed)[0], batch_first=True)
    assert torch.equal(ours, fused)
