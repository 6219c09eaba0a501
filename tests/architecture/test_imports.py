"""Who may import whom, and where threads and asyncio meet."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import ROOT, calls, imports, modules

BRIDGE = "hyperhive/bridge.py"


def test_the_import_contracts_hold() -> None:
    program = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run(
        [program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_threads_and_asyncio_meet_at_one_bridge() -> None:
    doors = ("call_soon_threadsafe", "run_coroutine_threadsafe")
    found = {
        module.name
        for module in modules("hyperhive")
        for name, _ in calls(module.tree)
        if name.rpartition(".")[2] in doors
    }
    assert found <= {BRIDGE}


def test_pykka_lives_in_the_actors_and_the_bridge() -> None:
    found = {
        module.name
        for module in modules("hyperhive")
        if any(name.split(".")[0] == "pykka" for name in imports(module.tree))
    }
    strangers = {name for name in found if not name.startswith("hyperhive/actors/") and name != BRIDGE}
    assert strangers == set()


HARNESS = ("hyperhive.harness", "hyperhive.domain", "hyperhive.errors")


def test_the_harness_knows_only_domain_and_errors() -> None:
    found = {
        f"{module.name} imports {name}"
        for module in modules("hyperhive/harness")
        for name in imports(module.tree)
        if name.startswith("hyperhive.") and not name.startswith(HARNESS)
    }
    assert found == set()


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("hyperhive.cli", ("pydantic", "asyncio", "argparse")),
        ("hyperhive.cli.read", ("pydantic", "asyncio", "hyperhive.settings")),
        ("hyperhive.cli.act", ("pydantic", "asyncio", "hyperhive.settings")),
        ("hyperhive.web.app", ("mcp.server", "mcp.types", "claude_agent_sdk", "pykka")),
        ("hyperhive.start", ("sqlite3", "jinja2", "starlette", "uvicorn", "hyperhive.runtimes")),
        ("hyperhive.programs", ("sqlite3", "jinja2", "starlette", "uvicorn", "hyperhive.store")),
        (
            "hyperhive.daemon",
            ("mcp.server", "mcp.types", "claude_agent_sdk", "pydantic", "pydantic_core"),
        ),
        (
            "hyperhive.daemon",
            ("hyperhive.assembly", "hyperhive.actors.agent", "hyperhive.web.agents_api", "pykka"),
        ),
        (
            "hyperhive.daemon",
            ("hyperhive.domain.events", "hyperhive.domain.wire", "hyperhive.domain.agent_config"),
        ),
    ],
)
def test_what_must_start_quickly_imports_nothing_heavy(module: str, unwanted: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not set(unwanted) & set(done.stdout.split())
