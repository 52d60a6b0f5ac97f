"""The files of a conversion: what is written reads back bit by bit, or is refused."""

from __future__ import annotations

import json

import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchgraft.stages import deliver
from torchgraft.stages.deliver import (
    PICKLE,
    SAFETENSORS,
    check_state_dict,
    write_json,
    write_state_dict,
)
from torchgraft.stages.errors import ResourceError
from torchgraft.stages.torch_graph import exact_tensor

DTYPES = ["float16", "float32", "float64", "int8", "int32", "int64", "uint8", "bool"]


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    """A tied pair, a scalar, an empty tensor, a NaN with a payload, and bfloat16."""
    tied = torch.arange(6.0).reshape(2, 3)
    payload = torch.tensor([0x7FC01234], dtype=torch.int32).view(torch.float32)
    half = torch.tensor([1.5, -2.0], dtype=torch.bfloat16)
    return {
        "tied.a": tied,
        "tied.b": tied,
        "count": torch.tensor(0),
        "empty": torch.zeros(0),
        "nan": payload,
        "h": half,
    }


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_array_becomes_a_tensor_of_the_same_bits(dtype):
    array = np.arange(12).reshape(3, 4).astype(dtype).T
    tensor = exact_tensor(array)
    assert str(tensor.dtype) == f"torch.{dtype}"
    assert tensor.is_contiguous()
    np.testing.assert_array_equal(tensor.numpy(), array)


def test_bfloat16_keeps_its_bits():
    array = np.array([1.5, -0.0, np.nan, 3e38], dtype=ml_dtypes.bfloat16)
    assert exact_tensor(array).view(torch.int16).numpy().tolist() == array.view(np.int16).tolist()


def test_a_scalar_stays_a_scalar():
    assert exact_tensor(np.zeros((), "int64")).shape == ()


def test_a_tensor_has_memory_of_its_own():
    array = np.zeros(3, "float32")
    tensor = exact_tensor(array)
    array[0] = 1
    assert tensor[0] == 0


def test_what_is_written_reads_back(state, tmp_path):
    write_state_dict(state, tmp_path)
    check_state_dict(state, tmp_path)
    again = torch.load(tmp_path / PICKLE, weights_only=True)
    assert list(again) == list(state)
    assert again["tied.a"].data_ptr() == again["tied.b"].data_ptr()
    assert again["nan"].view(torch.int32).item() == 0x7FC01234


@pytest.mark.parametrize("portion", [0, deliver.READ_BYTES])
@pytest.mark.parametrize("key", ["tied.a", "count", "nan", "h"])
def test_one_bit_that_differs_is_seen_in_either_file(monkeypatch, state, tmp_path, key, portion):
    monkeypatch.setattr(deliver, "READ_BYTES", portion)
    wrong = {name: tensor.clone() for name, tensor in state.items()}
    wrong[key].view(-1).view(torch.uint8)[0] ^= 1
    write_state_dict(state, tmp_path)
    torch.save(wrong, tmp_path / PICKLE)
    with pytest.raises(ResourceError, match=rf"{PICKLE}.*{key}"):
        check_state_dict(state, tmp_path)
    write_state_dict(state, tmp_path)
    save_file(wrong, tmp_path / SAFETENSORS)
    with pytest.raises(ResourceError, match=rf"{SAFETENSORS}.*{key}"):
        check_state_dict(state, tmp_path)


def test_a_key_that_is_missing_is_seen(state, tmp_path):
    write_state_dict({key: tensor for key, tensor in state.items() if key != "h"}, tmp_path)
    with pytest.raises(ResourceError, match="first at h"):
        check_state_dict(state, tmp_path)


def test_both_files_have_the_mode_that_the_umask_gives(state, tmp_path):
    write_state_dict(state, tmp_path)
    (tmp_path / "plain").write_text("")
    modes = {(tmp_path / name).stat().st_mode for name in (PICKLE, SAFETENSORS, "plain")}
    assert len(modes) == 1


def test_json_is_strict(tmp_path):
    write_json({"rows": ({"a": float("nan"), "b": float("inf"), "c": 1.5},), "é": None}, tmp_path / "x.json")
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=pytest.fail) == {"rows": [{"a": None, "b": None, "c": 1.5}], "é": None}
