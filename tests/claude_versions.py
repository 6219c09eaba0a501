"""The Claude Code binaries that tests run: the one in the claude-agent-sdk wheel, an older one from npm."""

import fcntl
import functools
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import pytest

OTHER_VERSION = "2.1.197"
_PACKAGE = f"@anthropic-ai/claude-code@{OTHER_VERSION}"
_DEADLINE = 300.0


def bundled_claude() -> Path:
    """The binary in the claude-agent-sdk wheel."""
    spec = importlib.util.find_spec("claude_agent_sdk")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "_bundled" / "claude"


@functools.cache
def other_claude() -> Path | None:
    """A second version, installed through npm into a cache folder; ``None`` where npm cannot give it."""
    return _installed()[0]


def need_other_claude() -> Path:
    """The second version; skips the test, with the reason, where there is none."""
    path = other_claude()
    if path is None:
        pytest.skip(f"no second Claude Code version: {_installed()[1]}")
    return path


@functools.cache
def _installed() -> tuple[Path | None, str]:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "hyperhive-tests" / f"claude-code-{OTHER_VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # parallel test workers install once
        if (found := _binary(folder)) is not None:
            return found, ""
        npm = shutil.which("npm")
        if npm is None:
            return None, "npm is not on PATH"
        try:
            done = subprocess.run(
                [
                    npm,
                    "install",
                    "--prefix",
                    str(folder),
                    "--ignore-scripts",
                    "--no-audit",
                    "--no-fund",
                    _PACKAGE,
                ],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_DEADLINE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None, f"npm did not install {_PACKAGE} within {_DEADLINE:.0f} s"
        if done.returncode != 0:
            said = (done.stderr.strip().splitlines() or ["no reason given"])[0]
            return None, f"npm cannot install {_PACKAGE}: {said}"
        found = _binary(folder)
        return found, "" if found else f"{_PACKAGE} holds no program for this machine"


def _binary(folder: Path) -> Path | None:
    """The native binary of the platform's package, else the JavaScript entry that node runs."""
    scope = folder / "node_modules" / "@anthropic-ai"
    natives = sorted(scope.glob("claude-code-*/claude"))
    scripts = [path for path in [scope / "claude-code" / "cli.js"] if path.exists()]
    for path in (*natives, *scripts):
        done = subprocess.run(
            _command(path, "--version"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        if done.returncode == 0:
            return path
    return None


def _command(path: Path, *arguments: str) -> list[str]:
    return ["node", str(path), *arguments] if path.suffix == ".js" else [str(path), *arguments]


def claude_command(path: Path, *arguments: str) -> list[str]:
    """The command line that runs one of these binaries."""
    return _command(path, *arguments)
