"""git itself, run so that nothing but our own arguments decides what it does, and never without bounds."""

import contextlib
import math
import os
import resource
import selectors
import shutil
import signal
import subprocess
import time
from pathlib import Path

from hyperhive.errors import Broken

DEADLINE = 30.0
"""Seconds that one call may take."""
MAX_OUTPUT = 8 * 1024 * 1024
"""Bytes that one call may say."""
_PROBING = 10.0
"""Seconds that git may take to say its version."""
_MAX_ERROR = 64 * 1024
_CHUNK = 64 * 1024

_MEMORY = 1024 * 1024 * 1024
_FILE = 256 * 1024 * 1024

_CONFIG = (
    "core.bare=true",  # attributes come from info/attributes alone, never from a tree or a folder
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.alternateRefsCommand=",
    "core.useReplaceRefs=false",
    "core.commitGraph=false",
    "core.multiPackIndex=false",
    "core.symlinks=false",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "core.quotePath=false",
    "core.logAllRefUpdates=false",
    "core.fsync=objects,reference",
    "core.bigFileThreshold=4m",
    "core.filesRefLockTimeout=1000",
    "core.packedRefsTimeout=1000",
    "core.packedGitLimit=256m",  # what is mapped counts as memory, however large the packs are
    "core.packedGitWindowSize=16m",
    "core.pager=cat",
    "credential.helper=",
    "diff.renameLimit=400",
    "gc.auto=0",
    "i18n.logOutputEncoding=UTF-8",
    "log.showSignature=false",
    "maintenance.auto=false",
    "pack.packSizeLimit=192m",  # below what one file may have
    "pack.threads=1",
    "pack.windowMemory=64m",
    "protocol.allow=never",
)

_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "TZ": "UTC",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_GRAFT_FILE": "/dev/null",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "hyperhive",
    "GIT_AUTHOR_EMAIL": "hyperhive@localhost",
    "GIT_COMMITTER_NAME": "hyperhive",
    "GIT_COMMITTER_EMAIL": "hyperhive@localhost",
}


class GitFailed(Exception):
    """git ended with an error. ``reason``: its last words, one line."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TooMuch(GitFailed):
    """git said more than the call allows. ``heard``: what it said until then."""

    def __init__(self, reason: str, heard: bytes) -> None:
        super().__init__(reason)
        self.heard = heard


class TooSlow(GitFailed):
    """git did not end within the deadline."""


class Git:
    """One repository's git.

    Args:
        program: the git binary; ``None``: git is not installed.
        folder: the ``.git`` folder, one of ours.
        objects: another object folder that is read and written instead of the repository's own.
        until: when all calls together must have ended, by the monotonic clock, in seconds.
    """

    def __init__(
        self, *, program: str | None, folder: Path, objects: Path | None = None, until: float = math.inf
    ) -> None:
        self._program = program
        self._until = until
        self._environment = {**_ENVIRONMENT, "GIT_DIR": str(folder)}
        if objects is not None:
            self._environment["GIT_OBJECT_DIRECTORY"] = str(objects)

    def run(
        self,
        *arguments: str,
        data: bytes = b"",
        limit: int = MAX_OUTPUT,
        deadline: float = DEADLINE,
        environment: dict[str, str] | None = None,
    ) -> bytes:
        """What git says on its standard output.

        Args:
            data: its standard input.
            limit: bytes of output allowed.
            deadline: seconds.

        Raises:
            GitFailed: it ended with an error; ``TooMuch`` and ``TooSlow`` when it was killed.
            Broken: git cannot be run at all.
        """
        end = min(time.monotonic() + deadline, self._until)
        process = self._start(arguments, environment or {})
        try:
            out, said = _exchange(process, data, limit, end)
            status = process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            late = f"longer than {deadline:g} s" if end < self._until else "too long with what was before it"
            raise TooSlow(f"git {arguments[0]} took {late}") from None
        finally:
            _end(process)
        if status != 0:
            raise GitFailed(_last_words(said) or f"git {arguments[0]} ended with status {status}")
        return out

    def check(self) -> None:
        """Make sure that it is not git itself that fails, before somebody's commit is blamed.

        Raises:
            Broken: it is.
        """
        check_git(self._program)

    def _start(self, arguments: tuple[str, ...], environment: dict[str, str]) -> "subprocess.Popen[bytes]":
        if self._program is None:
            raise Broken("git is not on PATH; install git, then try again.", code="no-git")
        command = [self._program, "--no-pager", "--literal-pathspecs"]
        for setting in _CONFIG:
            command += ["-c", setting]
        try:
            process = subprocess.Popen(
                [*command, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd="/",
                env={**self._environment, **environment},
                start_new_session=True,
            )
        except OSError as error:
            raise Broken(
                f"{self._program} cannot be run: {error.strerror}; install git anew, then try again.",
                code="no-git",
            ) from None
        # What it reads decides how much it wants: a few bytes of delta can ask for gigabytes.
        with contextlib.suppress(OSError):
            resource.prlimit(process.pid, resource.RLIMIT_AS, (_MEMORY, _MEMORY))
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (_FILE, _FILE))
            resource.prlimit(process.pid, resource.RLIMIT_CORE, (0, 0))
        return process


def find_git() -> str | None:
    """Where git is installed."""
    found = shutil.which("git")
    return None if found is None else str(Path(found).absolute())


def check_git(program: str | None) -> str:
    """What git says its version is.

    Args:
        program: the git binary; ``None``: there is none.

    Raises:
        Broken: git is missing or does not work, with what to do.
    """
    try:
        said = Git(program=program, folder=Path("/nonexistent")).run("version", limit=4096, deadline=_PROBING)
    except GitFailed as failure:
        reason = failure.reason
    else:
        if said.startswith(b"git version "):
            return said.decode(errors="replace").strip()
        reason = "it does not say its version"
    raise Broken(f"{program} does not work ({reason}); install git anew, then try again.", code="no-git")


def _exchange(process: "subprocess.Popen[bytes]", data: bytes, limit: int, end: float) -> tuple[bytes, bytes]:
    """Feed and hear a process until it closed both its outputs."""
    assert process.stdin and process.stdout and process.stderr
    out, said, rest = bytearray(), bytearray(), memoryview(data)
    with selectors.DefaultSelector() as waiting:
        for stream in (process.stdin, process.stdout, process.stderr):
            os.set_blocking(stream.fileno(), False)
            event = selectors.EVENT_WRITE if stream is process.stdin else selectors.EVENT_READ
            waiting.register(stream, event)
        while waiting.get_map():
            left = end - time.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired(process.args, 0)
            for key, _ in waiting.select(left):
                if key.fileobj is process.stdin:
                    rest = rest[_feed(key.fd, rest) :]
                    done = not rest
                else:
                    done = not _hear(key.fd, out if key.fileobj is process.stdout else said)
                    del said[_MAX_ERROR:]
                if done:
                    waiting.unregister(key.fileobj)
                    key.fileobj.close()  # type: ignore[union-attr]
            if len(out) > limit:
                raise TooMuch(f"git said more than {limit} bytes", bytes(out))
    return bytes(out), bytes(said)


def _feed(fd: int, rest: memoryview) -> int:
    try:
        return os.write(fd, rest[:_CHUNK])
    except BlockingIOError:
        return 0
    except BrokenPipeError:
        return len(rest)


def _hear(fd: int, into: bytearray) -> bool:
    try:
        chunk = os.read(fd, _CHUNK)
    except BlockingIOError:
        return True
    into += chunk
    return bool(chunk)


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def _last_words(said: bytes) -> str:
    lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
    # The cause comes first, what it led to last.
    text = next((line for line in lines if line.startswith("error: ")), lines[-1] if lines else "")
    for prefix in ("fatal: ", "error: "):
        text = text.removeprefix(prefix)
    return "".join(char if char.isprintable() else "?" for char in text)[:300].rstrip(".")
