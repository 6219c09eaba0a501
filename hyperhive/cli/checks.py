"""The checks behind ``hyperhive doctor``: each looks at one thing and says what to do about it."""

import errno
import os
import platform
import resource
import socket
import sys
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from hyperhive.claude_code import find_claude
from hyperhive.cli.errors import CommandError, NoDaemon
from hyperhive.cli.hive import daemon, headline, state
from hyperhive.errors import HiveError
from hyperhive.home import check_run, free_bytes
from hyperhive.mode import LIVE_KEYS, logins
from hyperhive.repos.git import check_git, find_git
from hyperhive.settings import BadSettings, Settings

GIB = 1024**3
ENOUGH_FILES = 4096
ENOUGH_INSTANCES = 128
ENOUGH_WATCHES = 8192


class Level(StrEnum):
    """How bad it is: ``warn`` runs with less, ``fail`` does not run."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Check(NamedTuple):
    """What one check found. ``fix``: what to do, empty when nothing is to be done."""

    name: str
    level: Level
    text: str
    fix: str = ""


def python() -> Check:
    """The interpreter."""
    return Check("python", Level.OK, f"{platform.python_version()} at {sys.executable}")


def git() -> Check:
    """git, really tried: no hive starts without it."""
    path = find_git()
    try:
        return Check("git", Level.OK, f"{check_git(path)} at {path}")
    except HiveError as error:
        return Check("git", Level.FAIL, error.message, "install git; every agent has a git repository")


def settings() -> tuple[Settings | None, Check]:
    """The settings as ``up`` would read them without flags."""
    try:
        found = Settings()
    except BadSettings as error:
        name, reason = next(iter(error.reasons.items()))
        return None, Check("settings", Level.FAIL, f"{name}: {reason}", "correct it; see docs/operate.md")
    except HiveError as error:
        return None, Check("settings", Level.FAIL, error.message)
    except OSError as error:
        said = f"{error.filename} cannot be read: {error.strerror}"
        return None, Check("settings", Level.FAIL, said, "run this as the hive's user, or set HYPERHIVE_HOME")
    except ValueError as error:
        return None, Check("settings", Level.FAIL, f"hyperhive.toml: {error}", "correct the file")
    return found, Check("settings", Level.OK, f"home {found.home}, sockets in {found.run}")


def running() -> Check:
    """Whether a daemon answers, and whether it rehearses."""
    hive = daemon()
    try:
        return Check("daemon", Level.OK, f"running: {headline(state(hive))}")
    except NoDaemon as error:
        there = os.path.exists(hive.path)
        return Check("daemon", Level.WARN, error.message if there else "not running", "hyperhive up")
    except CommandError as error:
        return Check("daemon", Level.FAIL, error.message, "look at its log, restart it if it is stuck")


def port(host: str, number: int, *, taken_by_us: bool) -> Check:
    """Whether the dashboard's port can be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OSError as error:
            if error.errno == errno.EADDRINUSE and taken_by_us:
                return Check("port", Level.OK, f"{host}:{number} is in use while the hive runs")
            fix = "free it, or 'hyperhive up --port N'"
            return Check("port", Level.FAIL, f"{host}:{number}: {error.strerror or error}", fix)
    return Check("port", Level.OK, f"{host}:{number} is free")


def folder(name: str, path: Path, *, needs: int) -> Check:
    """Whether a folder is there or can be made, can be written, and has room for ``needs`` bytes."""
    place = path
    while not os.path.exists(place) and place != place.parent:
        place = place.parent
    if not os.path.isdir(place) or not os.access(place, os.W_OK | os.X_OK):
        who = f"uid {os.geteuid()} may not write to {place}"
        return Check(name, Level.FAIL, who, "choose another with HYPERHIVE_HOME or HYPERHIVE_RUN")
    free = free_bytes(place)
    text = f"{path}: {free / GIB:.1f} GiB free" if needs else str(path)
    if free < needs:
        return Check(name, Level.WARN, text, "make room: sessions and the database grow")
    return Check(name, Level.OK, text)


def sockets(run: Path, home: Path) -> Check:
    """Whether the run folder is out of the home's way, and its longest path short enough for the kernel."""
    try:
        check_run(run, home=home)
    except HiveError as error:
        return Check("sockets", Level.FAIL, error.message)
    return Check("sockets", Level.OK, "their paths are short enough")


def claude(chosen: Path | None, home: Path) -> Check:
    """The Claude Code binary that would be used."""
    try:
        path, version = find_claude(chosen, cache=home / "claude-versions.json")
    except HiveError as error:
        return Check("claude code", Level.FAIL, error.message, "make up, or install 'claude'")
    return Check("claude code", Level.OK, f"{version} at {path}")


def credentials(home: Path, *, rehearse: bool) -> Check:
    """Which Claude credentials are seen; never their value."""
    seen = [key for key in LIVE_KEYS if os.environ.get(key)]
    seen += [f"login of {name}" for name in logins(home)]
    if rehearse:
        return Check("credentials", Level.OK, "not used: the settings say rehearse")
    if seen:
        return Check("credentials", Level.OK, f"{', '.join(seen)}: the hive would be live")
    fix = "set ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN, or 'hyperhive login NAME'"
    return Check("credentials", Level.WARN, "none seen: the hive would be a rehearsal", fix)


def runtimes(wanted: str) -> list[Check]:
    """Each runtime, really tried; fails when the one wanted, or all of them, do not work."""
    from hyperhive.runtimes.choose import all_runtimes

    found, working = [], []
    for runtime in all_runtimes():
        probe = runtime.probe()
        walls = "" if runtime.confined else "; no walls around its agents"
        if probe.works:
            working.append(runtime.name)
            level = Level.OK if runtime.confined else Level.WARN
            found.append(Check(f"runtime {runtime.name}", level, f"works{walls}"))
        else:
            level = Level.FAIL if runtime.name == wanted else Level.WARN
            found.append(Check(f"runtime {runtime.name}", level, probe.reason, probe.fix))
    if wanted not in ("auto", *(check.name.removeprefix("runtime ") for check in found)):
        found.append(Check(f"runtime {wanted}", Level.FAIL, "not to be had here", "set runtime to auto"))
    elif not working:
        found.append(Check("runtime", Level.FAIL, "none works here", "mend one of those above"))
    elif wanted == "auto":
        found.append(Check("runtime", Level.OK, f"auto takes {working[0]}"))
    return found


def open_files() -> Check:
    """The limit of open files; the daemon raises the soft one to the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < ENOUGH_FILES:
        return Check("open files", Level.WARN, f"at most {hard}", f"raise 'ulimit -Hn' to {ENOUGH_FILES}")
    return Check("open files", Level.OK, "unlimited" if hard == resource.RLIM_INFINITY else f"at most {hard}")


def inotify() -> list[Check]:
    """The kernel's limits of file watches."""
    limits = (("max_user_instances", ENOUGH_INSTANCES), ("max_user_watches", ENOUGH_WATCHES))
    return [check for name, enough in limits if (check := _inotify(name, enough)) is not None]


def _inotify(name: str, enough: int) -> Check | None:
    try:
        value = int((Path("/proc/sys/fs/inotify") / name).read_text())
    except (OSError, ValueError):
        return None
    title = f"inotify {name.removeprefix('max_user_')}"
    if value < enough:
        return Check(title, Level.WARN, f"{value}", f"sysctl fs.inotify.{name}={enough}")
    return Check(title, Level.OK, str(value))
