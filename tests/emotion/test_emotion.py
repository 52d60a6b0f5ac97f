"""Twenty checkpoints that other people saved with Keras 2.0.5, onto a module that knows nothing of them.

The files stand beside the project in ../shared/models (see its README); a machine without them skips, CI does not.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from .mini_xception import MiniXception

FOLDER = Path(__file__).parents[3] / "shared" / "models" / "emotion"
NAMES = [
    "00-0.47", "02-0.52", "03-0.53", "04-0.55", "05-0.56", "08-0.57", "10-0.58", "11-0.58", "12-0.58", "14-0.59",
    "15-0.60", "25-0.60", "27-0.62", "29-0.62", "32-0.62", "37-0.62", "38-0.62", "41-0.62", "43-0.64", "51-0.63",
]  # fmt: skip
# What the training fed: grey faces scaled to [-1, 1].
FACES = np.random.default_rng(0).uniform(-1, 1, (6, 64, 64, 1)).astype("float32")


def checkpoint(name: str) -> Path:
    path = FOLDER / f"fer2013_mini_XCEPTION.{name}.hdf5"
    if not path.exists():
        reason = f"{path} is not here: the checkpoints are no part of the project"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return path


def converted(name: str, module: nn.Module):
    import torchgraft

    return torchgraft.convert(checkpoint(name), module, inputs=FACES, probe_samples=2)


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_of_keras_2_is_grafted_and_verified(name):
    module = MiniXception()
    conversion = converted(name, module)
    assert conversion.verified, conversion.comparison.first_difference
    assert not [finding for finding in conversion.findings if finding.severity == "error"]
    fresh = MiniXception().eval()
    fresh.load_state_dict(conversion.state_dict, strict=True)
    with torch.no_grad():
        ours = fresh(torch.from_numpy(FACES).permute(0, 3, 1, 2)).numpy()
    theirs = conversion.job.model.predict(FACES, verbose=0)
    # Probabilities, so at most 1: fifty float32 layers err by some 1e-6.
    assert np.abs(ours - theirs).max() < 1e-5
    assert theirs.std(axis=0).max() > 1e-3, "the faces are told apart, so agreement says something"


def test_a_pooling_that_pads_on_both_sides_is_no_match():
    module = MiniXception()
    module.blocks[0].main[5] = nn.MaxPool2d(3, stride=2, padding=1)
    conversion = converted(NAMES[0], module)
    assert not conversion.verified
    # The pooling itself, or the first layer behind it where the pooling has no counterpart.
    assert conversion.comparison.first_difference.name in {"max_pooling2d_1", "add_1", "separable_conv2d_3"}
    (finding,) = [finding for finding in conversion.findings if finding.severity == "error"]
    assert finding.place == "blocks.0.main.5 (max_pool2d)"
    assert finding.layer == "max_pooling2d_1"
    assert finding.fix == "write F.pad(x, (0, 1, 0, 1), value=-inf) before it, and pass padding=(0, 0)"


def test_torchs_own_epsilon_is_found_and_named():
    module = MiniXception()
    module.blocks[2].main[1].eps = 1e-5
    findings = converted(NAMES[0], module).findings
    assert any("blocks.2.main.1" in finding.place and "0.001" in finding.cause for finding in findings), findings
