"""These tests build an image of several gigabytes: they run only where they are asked for by ``-m container``."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config, items):
    if "container" in (config.getoption("markexpr") or ""):
        return
    skip = pytest.mark.skip(reason="builds an image for minutes: pytest -m container tests/container")
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(skip)
