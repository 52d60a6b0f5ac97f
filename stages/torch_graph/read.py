"""How a module is read.

A run of it is recorded. Where no value has left torch the recorded graph is the module. Else, as what it calls may
depend on values, ``torch.export`` traces it without any. Where that refuses, and values decide of calls alone, the path
of the recorded run is a graph (``path.py``); else the module is run again as a whole.
"""

from __future__ import annotations

import copy
import traceback
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter
from torch.utils import _pytree as pytree

from ..errors import DifferenceError, MappingError, TorchgraftError, UnsupportedError
from .call import Call, adapted, call_of, result_places
from .exported import exported
from .generators import kept_generators, seed_generators
from .path import PathReading
from .reading import FAITHFUL, Reading
from .recorded import RecordedReading
from .recorder import Recording, record
from .replayed import ReplayedReading
from .writes import UnwrittenWeights


def working_copy(module: nn.Module) -> nn.Module:
    """A copy in eval mode that shares the memory of the parameters, so that running it leaves the user's module alone.

    Buffers are copied (a forward may write to them). Parameters are objects of their own over the user's memory, which
    may be gigabytes: what is done to the copy's ``requires_grad``, ``grad`` or ``data`` is not done to the user's. A
    module that cannot be copied is refused.
    """
    lazy = [key for key, parameter in module.named_parameters() if isinstance(parameter, UninitializedParameter)]
    if lazy:
        raise MappingError(
            f"no shape yet (a lazy module before its first call): {', '.join(lazy)}",
            where=type(module).__name__,
            fix="call the module once on an input of the right shape, or give its layers their sizes",
        )
    known: dict[int, Any] = {id(own): nn.Parameter(own.detach(), own.requires_grad) for own in module.parameters()}
    held = (value for child in module.modules() for value in vars(child).values())
    # A dozen for the hooks of each module, by which deepcopy would take most of its time.
    known |= {id(value): OrderedDict() for value in held if type(value) is OrderedDict and not value}
    try:
        twin = copy.deepcopy(module, known)
    except Exception as error:  # a user's __deepcopy__ may raise anything
        raise UnsupportedError(
            f"the module cannot be copied ({type(error).__name__}: {error})",
            where=type(module).__name__,
            fix="keep open files, locks and generators out of the module's attributes",
        ) from error
    call = call_of(module)
    if call is not None and call_of(twin) is None:
        adapted(twin, call)  # a copy of an fx.GraphModule lacks what was put onto it
    return twin.eval()


def read(module: nn.Module, inputs: Sequence[torch.Tensor], *, call: Call | None = None, ours: bool = False) -> Reading:
    """Read a module, called as ``call`` says, on ``inputs``, without changing it.

    What is ``ours`` computes and does nothing else: it is taken as it is recorded.

    Raises:
        MappingError: its forward fails on these inputs.
        DifferenceError: its forward is not deterministic.
        UnsupportedError: its forward writes into its own weights, or cannot be read from a run.
    """
    twin = _called(module, call)
    expected, returned = ([], []) if ours else _own_outputs(twin, inputs, seed=0)
    try:
        with kept_generators():
            seed_generators(1)
            recording = record(twin, inputs)
        for reading in _readings(recording, module, call, inputs):
            if ours or _is_faithful(reading, module, inputs, expected):
                reading.returned = returned
                return reading
    except TorchgraftError:
        raise
    except Exception as error:
        raise _unreadable(module, f"{type(error).__name__}: {error}") from error
    _refuse_chance(twin, inputs, expected)
    raise _unreadable(module, "it does not give again what it gave", *dict.fromkeys(recording.left))


def _called(module: nn.Module, call: Call | None) -> nn.Module:
    twin = working_copy(module)
    return twin if call is None else adapted(twin, call)


def _readings(
    recording: Recording, module: nn.Module, call: Call | None, inputs: Sequence[torch.Tensor]
) -> Iterator[Reading]:
    """The ways of reading, best first: a graph can be looked back into, a run can only be repeated as a whole."""
    if not recording.left:
        yield ReplayedReading(recording.as_graph())
        return
    with suppress(Exception):  # torch.export raises whatever it meets; the recorded run is there
        yield ReplayedReading(exported(_called(module, call), inputs))
    if not recording.sized:
        with suppress(Exception):  # its calls again on other values: RecordedReading lets the module meet them itself
            path = PathReading(recording)
            if path.is_the_module(inputs, recording.module.state_dict()):
                yield path
    yield RecordedReading(recording)


def _unreadable(module: nn.Module, *reasons: str) -> UnsupportedError:
    return UnsupportedError(
        "the module cannot be read from a run of it",
        where=type(module).__name__,
        fix="make forward a function of its inputs and its weights alone, on CPU tensors, without autograd inside and "
        "without keeping results from one call to the next",
        details=reasons,
    )


def _is_faithful(
    reading: Reading, module: nn.Module, inputs: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]
) -> bool:
    """Whether the reading computes what the module itself computed, up to another kernel of torch's."""
    made = reading.run(inputs, module.state_dict())
    return len(made) == len(expected) and all(map(_close, made, expected))


def _close(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return False
    if not ours.is_floating_point() or not ours.numel():
        return torch.equal(ours, theirs)
    scale = float(theirs.nan_to_num(0.0, 0.0, 0.0).abs().max())
    return torch.allclose(ours, theirs, rtol=0, atol=FAITHFUL * scale, equal_nan=True)


def _own_outputs(
    twin: nn.Module, inputs: Sequence[torch.Tensor], *, seed: int
) -> tuple[list[torch.Tensor], Sequence[str]]:
    """What a working copy gives, its tensors flattened, and where they stand in what forward returned."""
    with torch.no_grad(), user_forward(twin, inputs):
        seed_generators(seed)
        result = twin(*(value.clone() for value in inputs))
    outputs = [leaf.clone() for leaf in pytree.tree_leaves(result) if isinstance(leaf, torch.Tensor)]
    return outputs, result_places(twin, result)


def _refuse_chance(twin: nn.Module, inputs: Sequence[torch.Tensor], first: Sequence[torch.Tensor]) -> None:
    """A forward that draws random numbers in eval mode, or that changes what it computes with, can prove nothing.

    ``twin`` has given ``first`` and been run once more under another seed, since when it gave something else.
    """
    again, _ = _own_outputs(twin, inputs, seed=2)
    if len(first) != len(again) or not all(map(_close, first, again)):
        raise DifferenceError(
            "forward is not deterministic in eval mode: two runs on the same inputs differ",
            where=type(twin).__name__,
            fix="use torch.nn.Dropout, and guard random numbers and changes of state by `if self.training`",
        )


@contextmanager
def user_forward(module: nn.Module, inputs: Sequence[torch.Tensor]) -> Iterator[None]:
    """What the user's ``forward`` raises inside becomes a ForwardError with the user's file and line.

    Random generators stand afterwards as before; a write into a weight is refused before it happens.
    """
    guard = UnwrittenWeights(dict(module.named_parameters()), type(module).__name__)
    try:
        with kept_generators(), guard:
            yield
    except (Exception, SystemExit) as error:
        if isinstance(error, TorchgraftError):
            raise
        if guard.refusal is not None:  # what is raised inside comes out of TorchScript as an error of its own
            raise guard.refusal from None
        shapes = ", ".join(str(tuple(value.shape)) for value in inputs)
        happened = "called sys.exit" if isinstance(error, SystemExit) else f"{type(error).__name__}: {error}"
        raise ForwardError(
            f"forward fails on inputs of shape {shapes}: {happened}",
            where=_line_of(error) or type(module).__name__,
            fix="make forward run on inputs of these shapes: check the line named first, the shapes that the layers "
            "expect, and the order of forward's arguments against the Keras model's inputs",
        ) from error


def _line_of(error: BaseException) -> str:
    """``file:line`` of the last frame that is neither a library's nor ours."""
    ours = str(Path(__file__).parents[1])
    own = [
        f"{frame.filename}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if "site-packages" not in frame.filename and not frame.filename.startswith((ours, "<"))
    ]
    return own[-1] if own else ""


class ForwardError(MappingError):
    """The module's forward fails on the inputs that were tried."""
