"""Every example in a docstring of stages/plan runs and shows what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest
from torchgraft.stages import plan

MODULES = sorted(module.name for module in pkgutil.iter_modules(plan.__path__))
WITHOUT_EXAMPLES = {"left_over", "plan_json", "proof"}


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_show_what_happens(name):
    result = doctest.testmod(importlib.import_module(f"{plan.__name__}.{name}"))
    assert result.failed == 0
    assert (result.attempted == 0) == (name in WITHOUT_EXAMPLES)
