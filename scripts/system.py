"""The system's package manager: installs what is missing where that is allowed, else says what to type."""

import os
import shutil
import subprocess
import sys

MANAGERS = {
    "apt-get": ("install", "-y", "--no-install-recommends"),
    "dnf": ("install", "-y"),
    "yum": ("install", "-y"),
    "zypper": ("--non-interactive", "install"),
    "pacman": ("-S", "--noconfirm", "--needed"),
    "apk": ("add",),
}
DEADLINE = 900.0
"""Seconds that an installation may take."""


class SetupError(Exception):
    """Ends the set-up; the message says what is wrong and what to type."""


def want(program: str, package: str, *others: str, use: str, without: str) -> None:
    """See to it that a program is there, and say so when it cannot be done.

    Args:
        program: its name on PATH; ``others`` serve as well.
        package: what installs it.
        use, without: what it is for, and what happens without it.
    """
    if any(shutil.which(name) for name in (program, *others)):
        return
    if install(package) and shutil.which(program):
        return
    print(f"{program} is missing: {use}; {without}. Type: {command(package)}", flush=True)


def install(package: str, *, only: str | None = None) -> bool:
    """Install a package as root, saying so; ``False`` where that is not possible or not wanted.

    Args:
        only: the one package manager that calls the package by this name.
    """
    manager = _manager(only)
    if manager is None or os.geteuid() != 0 or os.environ.get("NO_SYSTEM") == "1":
        return False
    print(f"Installing {package} with {manager} (NO_SYSTEM=1 prevents it)", flush=True)
    if _run(manager, *MANAGERS[manager], package):
        return True
    # A fresh machine has no package lists yet.
    return manager == "apt-get" and _run(manager, "update") and _run(manager, *MANAGERS[manager], package)


def command(package: str, *, only: str | None = None) -> str:
    """What to type to install a package here."""
    manager = _manager(only)
    if manager is None:
        return f"install '{package}' with your system's package manager"
    sudo = "" if os.geteuid() == 0 else "sudo "
    return f"{sudo}{' '.join((manager, *MANAGERS[manager], package))}"


def _manager(only: str | None) -> str | None:
    return next((name for name in MANAGERS if only in (None, name) and shutil.which(name)), None)


def _run(*arguments: str) -> bool:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            arguments,
            env=env,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"  {error}", file=sys.stderr)
        return False
    if done.returncode != 0:
        print("\n".join(f"  {line}" for line in done.stderr.strip().splitlines()[-3:]), file=sys.stderr)
    return done.returncode == 0
