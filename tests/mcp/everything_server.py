"""An MCP server that is not ours, from npm by its lock file, for agents to start in their containers."""

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest

_FOLDER = Path(__file__).parent / "everything"
_ENTRY = Path("node_modules/@modelcontextprotocol/server-everything/dist/index.js")


def put_into(state: Path) -> str:
    """Put the server into an agent's state folder, as that agent would with npm; the path of its script there.

    Skips the test where npm is not to be had.
    """
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("npm is not installed: the MCP server of the test comes from there")
    with (_FOLDER / "package.json").open() as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        if not (_FOLDER / _ENTRY).exists():
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(
                command, cwd=_FOLDER, capture_output=True, text=True, check=False, timeout=100
            )
            if done.returncode != 0:
                pytest.skip(f"npm could not install the MCP server: {done.stderr.strip()[-200:]}")
    shutil.copytree(_FOLDER / "node_modules", state / "node_modules", symlinks=True)
    return str(_ENTRY)
