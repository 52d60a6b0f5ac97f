"""onnx2torch without torchvision: what a conversion loads, and that those of its operators that need it still work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
CONVERSION = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
import keras_models, torchgraft
model = keras_models.lenet()
assert torchgraft.convert(model, inputs=keras_models.inputs_for(model, samples=2)).verified
"""
LOADED = "print(*[name for name in ('torchvision', 'torch._dynamo', 'triton') if name in sys.modules])"
ROI_ALIGN = """
import torch
from onnx2torch.node_converters import roialign
image, boxes = torch.arange(64.0).reshape(1, 1, 8, 8), torch.tensor([[0.0, 1.0, 1.0, 5.0, 5.0]])
made = roialign.roi_align(image, boxes, output_size=2)
import torchvision
assert torchvision.__version__ and roialign.roi_align is not torchvision.ops.roi_align
assert torch.equal(made, torchvision.ops.roi_align(image, boxes, output_size=2))
"""


def printed_by(*program: str) -> str:
    done = subprocess.run([sys.executable, "-c", "\n".join(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("before", "after", "loaded"),
    [
        ("", ROI_ALIGN, ""),
        ("import torchvision, onnx2torch", "", "torchvision torch._dynamo"),
    ],
    ids=["not loaded", "loaded by somebody else"],
)
def test_a_conversion_loads_neither_torchvision_nor_torch_s_compiler(before, after, loaded):
    assert printed_by(before, CONVERSION, LOADED, after).removesuffix(" triton") == loaded
