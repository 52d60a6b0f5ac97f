"""Running what the user wrote: a module or a factory, in a file or in an installed package.

It is trusted: it may do what any Python program may. What it must not do is take torchgraft down without a word, so
whatever it raises (``sys.exit`` too) becomes one error with the user's own file and line.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import TorchgraftError, UsageError


def is_code(target: str) -> bool:
    """True for ``file.py:name``, the form of a factory."""
    file, _, name = target.rpartition(":")
    return file.endswith(".py") and name.replace(".", "_").isidentifier()


def attribute(target: str, base: Path, error: type[TorchgraftError]) -> Any:
    """What ``file.py:name`` (relative to ``base``) or ``package.module:name`` names.

    Raises:
        UsageError: the form is wrong, or there is no such file or name.
        error: importing it failed.
    """
    source, _, name = target.rpartition(":")
    if not source or not name.replace(".", "_").isidentifier():
        raise UsageError(f"received {target!r}", where="target", fix="write 'file.py:Name' or 'package.module:Name'")
    if source.endswith(".py"):
        path = (base / Path(source).expanduser()).resolve()
        if not path.is_file():
            raise UsageError("there is no such file", where=str(path), fix="check the path")
        with running(error, f"importing {source}", path.parent):
            found: Any = _module_of_file(path)
    else:
        with running(error, f"importing {source}", base):
            found = importlib.import_module(source)
    for part in name.split("."):
        if not hasattr(found, part):
            near = difflib.get_close_matches(part, [known for known in vars(found) if known[0] != "_"], 1)
            hint = f"did you mean {near[0]!r}?" if near else "check the name"
            raise UsageError(f"{source} has no {part!r}", where=target, fix=hint)
        found = getattr(found, part)
    return found


def call(
    function: Callable[..., Any],
    target: str,
    base: Path,
    error: type[TorchgraftError],
    kwargs: Mapping[str, Any] | None = None,
) -> Any:
    """``function(**kwargs)``, guarded. They are the config's ``target.kwargs``; None for a factory, which takes none.

    Raises:
        error: it raised, or called ``sys.exit``.
    """
    source, _, name = target.rpartition(":")
    folder = (base / source).resolve().parent if source.endswith(".py") else base
    takes = f"{name} takes {_signature(function)}"
    if kwargs is None:
        unfit = f"a factory is called without arguments, and {takes}: give each a default"
    else:
        unfit = f"correct `target.kwargs` in the config: {takes}, received ({', '.join(kwargs)})"
    with running(error, f"calling {target}", folder, unfit):
        return function(**(kwargs or {}))


def _signature(function: Callable[..., Any]) -> str:
    try:
        return str(inspect.signature(function))
    except (TypeError, ValueError):
        return "other arguments"


@contextlib.contextmanager
def running(error: type[TorchgraftError], doing: str, folder: Path, unfit: str = "") -> Iterator[None]:
    """Run the user's code inside: its folder importable, its prints on stderr, what it raises turned into ``error``.

    ``unfit`` is the remedy where a TypeError comes from no line of the user's: the call itself does not fit.
    """
    folder = folder.resolve()
    _forget_namesakes(folder)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except (TorchgraftError, KeyboardInterrupt, MemoryError):
        raise
    except BaseException as raised:
        where = _place(raised, folder)
        fix = unfit if unfit and not where and isinstance(raised, TypeError) else _fix(raised)
        raise error(_what(raised, doing), where=where, fix=fix) from raised
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(folder))


def _module_of_file(path: Path) -> ModuleType:
    """The file as a module under a name of its own, so that two files called net.py are two modules.

    The same content is the same module: a factory for the model and one for its inputs share it.
    """
    content = hashlib.sha256(str(path).encode() + b"\0" + path.read_bytes()).hexdigest()[:16]
    name = f"torchgraft_user_{re.sub(r'[^0-9a-zA-Z_]', '_', path.stem)}_{content}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: dataclasses and torch.export look a class's module up here
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _forget_namesakes(folder: Path) -> None:
    """Another job's ``layers.py`` must not answer this job's ``import layers``: drop it, unless it is installed."""
    own = {path.stem for path in folder.glob("*.py")} | {path.name for path in folder.iterdir() if path.is_dir()}
    own.discard(__name__.partition(".")[0])
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.partition(".")[0] in own and file and not _is_of(file, folder) and not _is_installed(file):
            del sys.modules[name]


def _is_of(file: str, folder: Path) -> bool:
    return Path(file).resolve().is_relative_to(folder)


def _is_installed(file: str) -> bool:
    return "site-packages" in Path(file).parts or any(_is_of(file, Path(p)) for p in (sys.prefix, sys.base_prefix))


def _what(raised: BaseException, doing: str) -> str:
    if isinstance(raised, SystemExit):
        return f"{doing} called sys.exit({raised.code!r})"
    text = raised.msg if isinstance(raised, SyntaxError) else str(raised)
    return f"{doing} raised {type(raised).__name__}: {text}" if text else f"{doing} raised {type(raised).__name__}"


def _fix(raised: BaseException) -> str:
    if isinstance(raised, SystemExit):
        return "put what runs as a script below `if __name__ == '__main__':`"
    if isinstance(raised, ModuleNotFoundError):
        return f"install {raised.name!r} beside torchgraft, or correct the import"
    return "the line named first is yours: it must run on its own with `python file.py`"


def _place(raised: BaseException, folder: Path) -> str:
    """``file:line`` of the last frame in the user's folder; empty where there is none."""
    if isinstance(raised, SyntaxError) and raised.filename:
        return f"{raised.filename}:{raised.lineno}"
    frames = [frame for frame in traceback.extract_tb(raised.__traceback__) if frame.filename != __file__]
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(folder)]
    own = [frame for frame in own if "site-packages" not in frame.filename]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else ""
