"""A Fit as the lines of a config that state it: they read back as it."""

from __future__ import annotations

import doctest

import pytest
from ruamel.yaml import YAML
from torchgraft.stages.fit import Fit, InputFit, OutputFit, record

AWKWARD = [
    "block#1",
    "a: b",
    "on",
    "null",
    "1",
    "{x}",
    "layer/call:1",
    " x",
    "é",
    "x'y\"z",
    "- a",
    "n h w c -> n c h w",
]


def test_the_example_in_the_module_holds() -> None:
    assert doctest.testmod(record).failed == 0


@pytest.mark.parametrize("name", AWKWARD)
def test_the_lines_read_back_as_the_fit_whatever_the_names_are(name: str) -> None:
    fit = Fit(
        {name: InputFit(name, "n t c -> n c t", "bool")}, {name: OutputFit(name, activation="softmax")}, {"a": None}
    )
    read = YAML(typ="safe").load("\n".join(fit.config_lines()))
    assert read == {"fit": fit.to_json()}
    assert read["fit"]["inputs"][name]["value"] == name


def test_what_is_not_stated_is_not_written() -> None:
    assert Fit().config_lines() == []
    assert Fit({"x": InputFit()}).config_lines() == []
    assert Fit(outputs={"y": OutputFit("0")}).config_lines() == ["fit:", "  outputs:", '    y: {place: "0"}']
