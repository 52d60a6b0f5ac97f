"""The dispatch mode that ours are made of."""

from __future__ import annotations

from torch.utils._python_dispatch import TorchDispatchMode


class Mode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A dispatch mode for which torch's compiler is not loaded: it and Triton take 100 MB and more than a second.

    Torch loads it to keep it off ``__torch_dispatch__``. What a user has compiled runs eagerly under a mode anyhow.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False
