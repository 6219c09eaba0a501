"""Runs the checks: lint, format, types and imports side by side, and tests. Output only of what fails.

check.py            everything that is quick: beside the static checks the tests without the markers e2e and
                    slow, models with fewer examples
check.py --all      the static checks, then all tests but the long ones; further arguments go to pytest
"""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv/bin"

STATIC = {
    "lint": ("ruff", "check", "."),
    "format": ("ruff", "format", "--check", "."),
    "imports": ("lint-imports",),
    "types": ("mypy",),
}
NOTHING = 5
"""What pytest exits with when no test was chosen."""
DEADLINE = 300.0
"""Seconds that one static check may take."""


def main(argv: list[str]) -> int:
    """Run the checks; 0 when all of them pass."""
    rest = [word for word in argv if word != "--all"]
    failed, codes = whole(rest) if "--all" in argv else quick(rest)
    if failed:
        print(f"Failed beside the tests: {', '.join(failed)}; see above.", flush=True)
    # What was chosen with arguments may lie in one part alone.
    wrong = [code for code in codes if code not in (0, NOTHING)]
    return 1 if failed else next(iter(wrong), min(codes))


def whole(rest: list[str]) -> tuple[list[str], list[int]]:
    """Run everything; returns the static checks that failed, and pytest's exit codes."""
    failed = static()
    # Tests that own no process share the cores; those with containers and browsers have them to themselves.
    return failed, [
        tests(["-m", "not e2e and not long", *crowd()], rest),
        tests(["-m", "e2e and not long"], rest),
    ]


def quick(rest: list[str]) -> tuple[list[str], list[int]]:
    """Run what is quick, the static checks beside the tests; returns the same."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        failed = pool.submit(static)
        # One more than there are cores: a third of what these tests take is waiting.
        chosen = ["-m", "not e2e and not slow and not long", *crowd(more=1)]
        code = tests(chosen, rest, HYPERHIVE_EXAMPLES="few")
        return failed.result(), [code]


def crowd(more: int = 0) -> list[str]:
    """What has pytest use the cores, with ``more`` workers than there are."""
    return ["-n", str(min(4, os.cpu_count() or 1) + more), "-q"]


def tests(chosen: list[str], rest: list[str], **more: str) -> int:
    """Run pytest, ``more`` in its environment; returns its exit code."""
    return subprocess.run(
        [BIN / "pytest", *chosen, *rest], cwd=ROOT, env=environment() | more, check=False
    ).returncode


def static() -> list[str]:
    """Run the static checks; returns the names of those that failed."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        results = list(pool.map(one, STATIC))
    return [name for name, ok in zip(STATIC, results, strict=True) if not ok]


def one(name: str) -> bool:
    """Run a static check and tell how it went."""
    began = time.monotonic()
    command = [str(BIN / STATIC[name][0]), *STATIC[name][1:]]
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        ok, said = done.returncode == 0, done.stdout + done.stderr
    except subprocess.TimeoutExpired:
        ok, said = False, f"not done within {DEADLINE:.0f} s"
    took = f"{time.monotonic() - began:.1f} s"
    print(f"{name:<8} {'ok' if ok else 'FAILED'} ({took})" + ("" if ok else f"\n{said}"), flush=True)
    return ok


def environment() -> dict[str, str]:
    """The caller's, with the programs in ``.venv`` behind the machine's own, and bytecode that is kept.

    A worker that compiles all tests anew spends 5 s, and each program that a test starts its own part of that.
    """
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PATH": os.pathsep.join((os.environ.get("PATH", os.defpath), str(BIN)))}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
