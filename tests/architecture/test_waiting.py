"""Nothing sleeps where it could wait for something."""

import ast

from tests.architecture.source import Module, calls, modules

SLEEPS = ("time.sleep", "asyncio.sleep", "anyio.sleep", "sleep")
ALLOWED = {
    "tests/waiting.py": "the one polling helper",
    "tests/e2e/hanging.py": "hangs on purpose",
}
"""Where sleeping is right, and why."""


def _sleeps(module: Module) -> list[str]:
    return [
        f"{module.name}:{call.lineno}"
        for name, call in calls(module.tree)
        if name in SLEEPS and not _yields_only(call)
    ]


def _yields_only(call: ast.Call) -> bool:
    # asyncio.sleep(0) lets others run and waits for nothing.
    return len(call.args) == 1 and isinstance(call.args[0], ast.Constant) and call.args[0].value == 0


def test_tests_wait_on_events_and_never_sleep() -> None:
    found = [place for m in modules("tests") if m.name not in ALLOWED for place in _sleeps(m)]
    assert found == []


PACED = {
    "hyperhive/runtimes/leader.py": "waits for orphans that are not its children: they give no signal",
    "hyperhive/runtimes/proc.py": "the same, from outside, within a deadline",
    "hyperhive/harness/": "a program of its own: paces a reconnect, gathers ended processes",
    "hyperhive/rehearsal/server.py": "a scripted model that takes its time",
    "hyperhive/link/pace.py": "slows down a harness that says too much",
    "hyperhive/link/session.py": "the moments between pings",
    "hyperhive/mcp/sockets.py": "tries again while descriptors are short: that they are free again gives no signal",
}
"""What may pace something with a sleep, and why."""


def test_the_daemon_waits_on_events_and_never_sleeps() -> None:
    found = [
        place for m in modules("hyperhive") if not m.name.startswith(tuple(PACED)) for place in _sleeps(m)
    ]
    assert found == []
