"""FAULTS rows 30 and 31: the user's module is broken, or shares its name with another job's."""

from __future__ import annotations

import sys

import pytest
import torch
from torchgraft.stages import load
from torchgraft.stages.errors import MappingError, UsageError

NET = "import torch\nclass Net(torch.nn.Module):\n    def __init__(self, size=3):\n        super().__init__()\n"


def write(folder, name, text):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder


def test_two_jobs_each_get_their_own_net_and_their_own_siblings(tmp_path):
    for job, size in (("one", 2), ("two", 5)):
        folder = write(tmp_path / job, "sizes.py", f"SIZE = {size}\n")
        write(folder, "net.py", f"import sizes\n{NET}        self.fc = torch.nn.Linear(size, sizes.SIZE)\n")
    for job, size in (("one", 2), ("two", 5), ("one", 2)):
        assert load.torch_module("net.py:Net", {"size": 4}, tmp_path / job).fc.weight.shape == (size, 4)
        assert load.torch_module("net:Net", {}, tmp_path / job).fc.weight.shape == (size, 3)


def test_what_is_installed_is_never_dropped_for_a_namesake(tmp_path):
    import json

    write(tmp_path, "json.py", "")
    write(tmp_path, "torch.py", "")
    write(tmp_path, "net.py", NET)
    assert isinstance(load.torch_module("net.py:Net", {}, tmp_path), torch.nn.Module)
    assert sys.modules["json"] is json
    assert sys.modules["torch"] is torch


def test_a_function_or_a_module_as_it_stands_will_do(tmp_path):
    write(tmp_path, "net.py", "import torch\ndef net(n):\n    return torch.nn.Linear(n, 1)\nready = net(2)\n")
    assert load.torch_module("net.py:net", {"n": 6}, tmp_path).in_features == 6
    assert load.torch_module("net.py:ready", {}, tmp_path).in_features == 2
    assert isinstance(load.torch_module("torch.nn:Identity"), torch.nn.Identity)
    with pytest.raises(MappingError, match="built already"):
        load.torch_module("net.py:ready", {"n": 6}, tmp_path)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("import torch\nimport no_such_package\n", 2, "No module named 'no_such_package'"),
        ("import torch\n\ndef Net(:\n", 3, "SyntaxError"),
        ("import sys\n\n\nsys.exit(3)\n", 4, r"sys\.exit\(3\)"),
        (f"{NET}        raise RuntimeError('my own words')\n", 5, "my own words"),
        (f"{NET}        self.fc = torch.nn.Linear('a', 1)\n", 5, "TypeError"),
        ("from helper_of_net import thing\nNet = thing\n", 1, "No module named 'helper_of_net'"),
    ],
)
def test_a_broken_module_is_named_by_file_and_line(tmp_path, text, line, message):
    write(tmp_path, "net.py", text)
    with pytest.raises(MappingError, match=message) as caught:
        load.torch_module("net.py:Net", {}, tmp_path)
    assert caught.value.where == f"{tmp_path / 'net.py'}:{line}"


def test_a_fault_in_a_sibling_is_named_there(tmp_path):
    write(tmp_path, "parts.py", "\nVALUE = {}['key']\n")
    write(tmp_path, "net.py", "import parts\n")
    with pytest.raises(MappingError, match="KeyError") as caught:
        load.torch_module("net.py:Net", {}, tmp_path)
    assert caught.value.where == f"{tmp_path / 'parts.py'}:2"


def test_wrong_kwargs_and_what_is_no_module_are_mapping_errors(tmp_path):
    write(tmp_path, "net.py", f"{NET}class Other:\n    pass\n")
    with pytest.raises(MappingError, match="unexpected keyword argument 'depth'") as caught:
        load.torch_module("net.py:Net", {"depth": 3}, tmp_path)
    assert caught.value.fix == "correct `target.kwargs` in the config: Net takes (size=3), received (depth)"
    with pytest.raises(MappingError, match=r"not a torch\.nn\.Module"):
        load.torch_module("net.py:Other", {}, tmp_path)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("net.py:Nett", "did you mean 'Net'"),
        ("gone.py:Net", "no such file"),
        ("net.py", "file.py:Name"),
        (":Net", "file.py"),
    ],
)
def test_a_target_that_names_nothing_is_a_usage_error(tmp_path, target, message):
    write(tmp_path, "net.py", NET)
    with pytest.raises(UsageError, match=message):
        load.torch_module(target, {}, tmp_path)


def test_prints_of_the_module_do_not_reach_stdout(tmp_path, capsys):
    write(tmp_path, "net.py", f"print('while importing')\n{NET}        print('while building')\n")
    load.torch_module("net.py:Net", {}, tmp_path)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "while importing\nwhile building\n"


def test_an_edited_file_is_read_again(tmp_path):
    for size in (2, 3):
        write(tmp_path, "net.py", f"{NET}        self.fc = torch.nn.Linear(1, {size})\n")
        assert load.torch_module("net.py:Net", {}, tmp_path).fc.out_features == size


def test_kwargs_may_have_any_name(tmp_path):
    text = "import torch\ndef net(base, target, error):\n    return torch.nn.Linear(base, target + error)\n"
    write(tmp_path, "net.py", text)
    built = load.torch_module("net.py:net", {"base": 2, "target": 3, "error": 4}, tmp_path)
    assert (built.in_features, built.out_features) == (2, 7)


def test_a_type_error_within_the_module_is_no_matter_of_kwargs(tmp_path):
    write(tmp_path, "net.py", f"{NET}        size + 'a'\n")
    with pytest.raises(MappingError, match="the line named first is yours"):
        load.torch_module("net.py:Net", {"size": 3}, tmp_path)
