"""Finds the Claude Code binary: the one asked for, else the newer of the SDK's own and the one on PATH."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from hyperhive.errors import Broken, Refused

VERSION_DEADLINE = 20.0
"""Seconds that one ``claude --version`` may take; a cold disk needs some for a binary of 380 MB."""
MAX_CACHED = 16
"""Versions remembered in the cache file."""

_NUMBER = re.compile(r"\d+(?:\.\d+)+")


def find_claude(settings_claude: Path | None, *, cache: Path | None = None) -> tuple[Path, str]:
    """Find the Claude Code binary to use and its version.

    Args:
        settings_claude: the binary the operator chose; ``None``: the newest of the candidates.
        cache: a file that remembers versions by path, size and time of change, so that the binaries need not
            be started again; ``None``: ask them each time.

    Returns:
        Absolute path and version, e.g. ``2.1.330``.

    Raises:
        Refused: the chosen binary is missing or is no Claude Code.
        Broken: there is none at all.
    """
    versions = _Versions(cache)
    if settings_claude is not None:
        chosen = settings_claude.expanduser().absolute()
        version = versions.of(chosen)
        if version is None:
            raise Refused(
                f"{chosen} is no Claude Code: '--version' gave no version; "
                "correct the setting 'claude' (HYPERHIVE_CLAUDE) or leave it out.",
                code="bad-claude",
            )
        return chosen, version
    found = [(path, version) for path in candidates() if (version := versions.of(path)) is not None]
    if not found:
        raise Broken(
            "No Claude Code found, neither in the claude-agent-sdk package nor on PATH; "
            "run 'make up' again or install 'claude'.",
            code="no-claude",
        )
    return max(found, key=lambda item: _key(item[1]))


def candidates() -> tuple[Path, ...]:
    """Where a Claude Code binary may be: the SDK's wheel first, then PATH."""
    return tuple(path for path in _unique((_bundled(), _on_path())) if os.access(path, os.X_OK))


def _bundled() -> Path | None:
    # Importing the SDK costs half a second; finding it costs nothing.
    spec = importlib.util.find_spec("claude_agent_sdk")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / "_bundled" / "claude"


def _on_path() -> Path | None:
    found = shutil.which("claude")
    return Path(found).absolute() if found else None


def _unique(paths: Iterable[Path | None]) -> Iterable[Path]:
    return dict.fromkeys(path for path in paths if path is not None)


def _key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


class _Versions:
    """Versions of binaries, remembered in a file. A cache that cannot be read or written is no error."""

    def __init__(self, cache: Path | None) -> None:
        self._cache = cache
        self._known = self._load()

    def of(self, path: Path) -> str | None:
        """The version of the binary at ``path``; ``None`` when it does not say one within the deadline."""
        try:
            stat = path.stat()
        except OSError:
            return None
        key = f"{path}:{stat.st_size}:{stat.st_mtime_ns}"
        if key not in self._known:
            version = _ask(path)
            if version is None:
                return None
            self._known[key] = version
            self._save()
        return self._known[key]

    def _load(self) -> dict[str, str]:
        if self._cache is None:
            return {}
        try:
            values = json.loads(self._cache.read_text())
        except (OSError, ValueError):
            return {}
        if not isinstance(values, dict):
            return {}
        return {str(k): v for k, v in values.items() if isinstance(v, str) and _NUMBER.fullmatch(v)}

    def _save(self) -> None:
        if self._cache is None or not self._cache.parent.is_dir():
            return
        kept = dict(list(self._known.items())[-MAX_CACHED:])
        draft = self._cache.with_name(f"{self._cache.name}.{os.getpid()}")
        try:
            draft.write_text(json.dumps(kept))
            draft.replace(self._cache)
        except OSError:
            draft.unlink(missing_ok=True)


def _ask(path: Path) -> str | None:
    try:
        done = subprocess.run(
            [path, "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=VERSION_DEADLINE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    number = _NUMBER.search(done.stdout) if done.returncode == 0 else None
    return number.group() if number else None
