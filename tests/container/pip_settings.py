"""pip's own settings of this machine, for a build behind a mirror: as one pip.conf, and the local paths in it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlparse

PASSED_ON = ("index-url", "extra-index-url", "find-links", "trusted-host", "cert", "proxy", "default-timeout")


def pip_settings() -> dict[str, str]:
    """Setting → value, as ``pip config list`` shows them; the environment goes before the files."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True
    ).stdout
    settings: dict[str, str] = {}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        scope, _, setting = name.rpartition(".")
        if setting in PASSED_ON and (setting not in settings or scope == ":env:"):
            settings[setting] = ast.literal_eval(value)
    return settings


def pip_conf(settings: dict[str, str]) -> str:
    """The settings as a pip.conf."""
    lines = [f"{name} = {value.replace(chr(10), ' ')}" for name, value in settings.items()]
    return "\n".join(["[global]", *lines]) + "\n"


def local_paths(settings: dict[str, str]) -> list[Path]:
    """Folders and files of this machine that the settings name: the build has to see them under the same path."""
    paths = []
    for word in " ".join(settings.values()).split():
        path = Path(unquote(urlparse(word).path)) if word.startswith("file://") else Path(word)
        if path.is_absolute() and path.exists():
            paths.append(path.parent if path.name == "simple" else path)  # an index links to files beside it
    return paths
