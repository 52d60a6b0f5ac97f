"""In which order ways of feeding a module are tried."""

from __future__ import annotations

from torchgraft.stages.base import Boundary, Port
from torchgraft.stages.extract.preprocessing import Front
from torchgraft.stages.extract.trials import trials
from torchgraft.stages.fit import Fit
from torchgraft.stages.plan import Transpose

TURNED = (Transpose((0, 2, 3, 1)),)
SHAPE = (None, 8, 8, 3)
IMAGE = Port("image", "image", SHAPE, "float32", TURNED)


def test_what_keras_makes_of_an_input_is_tried_in_the_usual_layout_before_odd_ones() -> None:
    scaled = Boundary("scaled", "scaled", SHAPE, "float32", TURNED)
    ways = trials([{"x": IMAGE}], [Front("image", scaled, "place", frozenset())], Fit(), {})
    tried = [(way.inputs["x"].value, way.inputs["x"].layout) for way in ways]
    usual, as_keras = "n h w c -> n c h w", "n h w c -> n h w c"
    assert tried[:3] == [("image", usual), ("scaled", usual), ("image", as_keras)]
