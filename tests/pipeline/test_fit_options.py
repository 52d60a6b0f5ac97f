"""The config's ``fit``: what it takes, and what it says of what it does not take."""

from __future__ import annotations

from pathlib import Path

import pytest
from torchgraft.pipeline.config_file import known_keys, read_config
from torchgraft.stages.errors import UsageError
from torchgraft.stages.fit import Fit, InputFit, OutputFit

HEAD = "model: a.keras\ntarget: b.py:Net\n"


def read(folder: Path, text: str) -> Fit:
    path = folder / "config.yaml"
    path.write_text(HEAD + text, encoding="utf-8")
    return read_config(path).options.fit.stated()


def test_each_of_its_forms_is_read(tmp_path: Path) -> None:
    text = """
fit:
  inputs:
    x: image
    y: {value: norm, layout: n h w c -> n c h w, dtype: bool}
  outputs:
    a: logits
    b: {place: 0, activation: softmax}
    c: {keras_activation: sigmoid, value: dense}
  options: {use_cache: false}
"""
    assert read(tmp_path, text) == Fit(
        {"x": InputFit("image"), "y": InputFit("norm", "n h w c -> n c h w", "bool")},
        {
            "a": OutputFit("logits"),
            "b": OutputFit("0", activation="softmax"),
            "c": OutputFit(keras_activation="sigmoid", value="dense"),
        },
        {"use_cache": False},
    )
    assert read(tmp_path, "") == Fit()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("fit: {input: {}}", ["unknown option fit.input", "the nearest known one is inputs"]),
        ("fit: {inputs: {x: {layot: n}}}", ["unknown option fit.inputs.x.layot", "the nearest known one is layout"]),
        ("fit: {inputs: {x: {layout: n h -> n}}}", ["no layout", "n h -> n"]),
        ("fit: {inputs: {x: {dtype: float33}}}", ["fit.inputs.x.dtype", "float33"]),
        ("fit: {outputs: {y: {activation: sofmax}}}", ["fit.outputs.y.activation", "softmax"]),
        ("fit: {outputs: {y: {keras_activation: relu}}}", ["fit.outputs.y.keras_activation"]),
    ],
)
def test_what_it_does_not_take_is_told_with_the_line(tmp_path: Path, text: str, says: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text)
    assert all(part in str(caught.value) for part in says), str(caught.value)
    assert "config.yaml:3" in str(caught.value)


def test_options_behind_a_name_of_the_users_are_known() -> None:
    assert known_keys(("fit", "inputs", "anything")) == ["value", "layout", "dtype", "inverted"]
    assert known_keys(("fit", "inputs")) == []
    assert "place" in known_keys(("fit", "outputs", "a.b"))
