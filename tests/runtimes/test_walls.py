"""What an agent behind bubblewrap's walls can and cannot do: it tries, from inside."""

import json
import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hyperhive.errors import Broken, Refused
from hyperhive.runtimes import walls
from hyperhive.runtimes.base import Bind
from tests.runtimes.lab import IDLE, Lab
from tests.waiting import eventually

pytestmark = pytest.mark.slow

_ATTEMPTS = textwrap.dedent("""
    import ctypes, json, os, socket, stat, sys

    libc = ctypes.CDLL(None, use_errno=True)

    def attempt(what):
        try:
            what()
        except BaseException as error:
            return f"{type(error).__name__}: {error}"
        return "DONE"

    def call(result):
        if result != 0:
            raise OSError(ctypes.get_errno(), "refused")

    def reach(path):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(path)

    def others():
        pids = [int(p) for p in os.listdir("/proc") if p.isdigit()]
        strange = [p for p in pids if p > 50]
        if not strange:
            raise LookupError("only our own")

    def open_for_writing(path):
        os.close(os.open(path, os.O_WRONLY))

    secrets, sockets, pid, generation = (json.loads(word) for word in sys.argv[1:5])
    found = {f"read {path}": attempt(lambda path=path: open(path).read()) for path in secrets}
    found |= {f"list {path}": attempt(lambda path=path: os.listdir(path)) for path in
              ("/var", "/sys", "/boot", "/etc/ssh", "/var/lib", "/opt", "/srv")}
    found |= {f"connect {path}": attempt(lambda path=path: reach(path)) for path in sockets}
    found |= {
        "see others": attempt(others),
        "signal": attempt(lambda: os.kill(pid, 0)),
        "ptrace": attempt(lambda: call(libc.ptrace(16, pid, 0, 0))),
        "write /usr": attempt(lambda: open("/usr/planted", "w")),
        "write /etc": attempt(lambda: open("/etc/passwd", "a")),
        "write /": attempt(lambda: os.mkdir("/planted")),
        "write /dev": attempt(lambda: os.mkdir("/dev/planted")),
        "write generation": attempt(lambda: open(generation + "/launch.json", "a")),
        "replace generation": attempt(lambda: os.rename(generation, generation + "-old")),
        "core_pattern": attempt(lambda: open_for_writing("/proc/sys/kernel/core_pattern")),
        "drop_caches": attempt(lambda: open_for_writing("/proc/sys/vm/drop_caches")),
        "mount": attempt(lambda: call(libc.mount(b"none", b"/tmp", b"tmpfs", 0, None))),
        "remount /proc": attempt(lambda: call(libc.mount(b"none", b"/proc", None, 4096 | 32, None))),
        "umount": attempt(lambda: call(libc.umount2(b"/proc", 2))),
        "device": attempt(lambda: os.mknod("/state/disk", stat.S_IFBLK | 0o600, os.makedev(254, 0))),
        "unshare": attempt(lambda: call(libc.unshare(0x10000000))),
        "chroot": attempt(lambda: os.chroot("/state")),
        "setuid": attempt(lambda: os.setuid(0)),
        "hostname": attempt(lambda: socket.sethostname("planted")),
        "join": attempt(lambda: call(libc.setns(os.open("/proc/1/ns/user", os.O_RDONLY), 0))),
    }
    with open("/state/found.new", "w") as file:
        json.dump(found, file)
    os.rename("/state/found.new", "/state/found")
""")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Path]:
    """A daemon's home and run folder with things that are nobody's business, sockets listening."""
    home = tmp_path / "home"
    for path in (
        "operator.token",
        "hive.sqlite",
        "agents/bob/state/notes.md",
        "agents/bob/claude/.credentials",
    ):
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_text("secret")
    run = tmp_path / "run"
    (run / "bob").mkdir(parents=True)
    listening = []
    for path in ("host.sock", "bob/mcp.sock"):
        sock = socket.socket(socket.AF_UNIX)
        # A socket's path is short; the working directory makes it so.
        before = Path.cwd()
        os.chdir(run)
        sock.bind(path)
        os.chdir(before)
        sock.listen()
        listening.append(sock)
    yield tmp_path
    for sock in listening:
        sock.close()


def _attempted(lab: Lab, host: Path) -> dict[str, str]:
    generation = host / "generation"
    generation.mkdir()
    (generation / "launch.json").write_text("{}")
    home, run = host / "home", host / "run"
    for number, target in enumerate(
        (home / "operator.token", run / "host.sock", Path("/root"), Path("/etc/shadow"))
    ):
        (lab.state / f"link{number}").symlink_to(target)
    secrets = [
        *map(str, (home / "operator.token", home / "hive.sqlite", home / "agents/bob/state/notes.md")),
        *map(str, (home / "agents/bob/claude/.credentials", lab.root / "alice-run/log", __file__)),
        *(
            "/etc/shadow",
            "/etc/gshadow",
            "/root/.bashrc",
            "/root/.profile",
            "/proc/kcore",
            "/state/link0",
            "/state/link2/.bashrc",
            "/state/link3",
        ),
        *("/state/../root/.bashrc", "/proc/1/root/root/.bashrc"),
    ]
    sockets = [str(run / "host.sock"), str(run / "bob/mcp.sock"), "/state/link1", "/run/hive/host.sock"]
    spec = lab.python(_ATTEMPTS + IDLE_PYTHON)
    words = (json.dumps(word) for word in (secrets, sockets, os.getpid(), "/generation"))
    binds = (*lab.binds, Bind(generation, Path("/generation")))
    spec = replace(spec, argv=(*spec.argv, *words), binds=binds)
    lab.start(spec)
    try:
        eventually((lab.state / "found").exists)
    except AssertionError:
        raise AssertionError(lab.log(spec)) from None
    found: dict[str, str] = json.loads((lab.state / "found").read_text())
    return found


IDLE_PYTHON = "\nimport time\nwhile True: time.sleep(1)\n"


def test_an_agent_reaches_nothing_that_is_not_its_own(walled: Lab, host: Path) -> None:
    found = _attempted(walled, host)

    assert len(found) >= 40
    assert {what: result for what, result in found.items() if result == "DONE"} == {}


def test_the_same_attempts_succeed_without_walls_or_they_would_prove_nothing(
    tmp_path: Path, host: Path
) -> None:
    for path in ("home/operator.token", "home/agents/bob/state/notes.md"):
        assert (host / path).read_text() == "secret"
    with socket.socket(socket.AF_UNIX) as sock:
        before = Path.cwd()
        os.chdir(host / "run")
        sock.connect("host.sock")
        os.chdir(before)


def test_it_has_no_rights_and_gains_none(walled: Lab) -> None:
    walled.start(walled.spec(f"cat /proc/self/status > s.new; mv s.new s; {IDLE}"))
    eventually((walled.state / "s").exists)
    status = dict(
        line.split(":\t", 1) for line in (walled.state / "s").read_text().splitlines() if ":\t" in line
    )

    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert status["NoNewPrivs"] == "1"
    assert status["Uid"].split() == ["1000"] * 4


def test_who_enters_has_no_rights_either_and_a_clean_environment(
    walled: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAEMONS_OWN", "1")
    handle = walled.start(walled.spec(IDLE, env={"TOKEN": "x"}))
    script = "id -u; grep -E 'Cap(Prm|Eff|Bnd)|NoNew' /proc/self/status; env; ls /proc/$$/fd | wc -l"
    done = subprocess.run(
        walled.runtime.enter(handle, ("/bin/sh", "-c", script)), capture_output=True, text=True, timeout=60
    )

    assert done.stdout.startswith("1000\n"), done.stderr
    assert done.stdout.count("\t0000000000000000\n") == 3
    assert "NoNewPrivs:\t1" in done.stdout
    assert "DAEMONS_OWN" not in done.stdout
    assert "TOKEN" not in done.stdout
    assert "HOME=/home/agent\n" in done.stdout


def test_entering_what_has_ended_is_told(walled: Lab) -> None:
    handle = walled.start(walled.spec(IDLE))
    command = walled.runtime.enter(handle._replace(start_ticks=handle.start_ticks + 1), ("true",))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert done.returncode == 127
    assert "has ended" in done.stderr


def test_common_programs_find_what_they_need(walled: Lab) -> None:
    script = (
        "id -un; hostname; getent hosts localhost >/dev/null && echo names; test -w $HOME && echo home;"
        "ls /etc/ssl/certs | head -1 | grep -q . && echo certificates; echo x > /tmp/x && echo tmp;"
        "echo x > /dev/shm/x && echo shm; echo done"
    )
    spec = walled.spec(f"{script}; {IDLE}")
    walled.start(spec)
    eventually(lambda: "done" in walled.log(spec))

    assert walled.log(spec).split()[:4] == ["agent", "alice", "names", "home"]
    assert walled.log(spec).split()[-3:] == ["tmp", "shm", "done"]


def test_its_scratch_space_is_bounded(walled: Lab) -> None:
    spec = walled.spec(f"df -Pk /tmp /run /home/agent /dev/shm | awk 'NR>1 {{print $2}}'; echo done; {IDLE}")
    walled.start(spec)
    eventually(lambda: "done" in walled.log(spec))

    sizes = [int(word) for word in walled.log(spec).split()[:-1]]
    assert len(sizes) == 4
    assert max(sizes) <= 1024 * 1024


def test_a_program_is_reached_through_the_links_that_lead_to_it(walled: Lab, tmp_path: Path) -> None:
    real_place = tmp_path / "versions" / "2"
    real_place.mkdir(parents=True)
    (real_place / "tool").write_text("#!/bin/sh\necho it runs\nsleep 600\n")
    (real_place / "tool").chmod(0o755)
    (tmp_path / "current").symlink_to("versions/2")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "tool").symlink_to(tmp_path / "current" / "tool")
    spec = replace(walled.spec(""), argv=(str(tmp_path / "bin" / "tool"),))
    walled.start(spec)

    eventually(lambda: "it runs" in walled.log(spec))


def test_only_the_named_program_is_shown_of_a_closed_folder(walled: Lab, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "tools").mkdir(parents=True)
    (closed / "tools" / "data").write_text("for all")
    (closed / "private").write_text("for nobody")
    closed.chmod(0o700)
    spec = replace(
        walled.spec(f"cat {closed}/tools/data; ls {closed}; {IDLE}"),
        programs=(closed / "tools", Path("/usr/bin")),
    )
    walled.start(spec)

    eventually(lambda: walled.log(spec) == "for alltools\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a hive from another user's closed folder")
def test_roots_daemon_shows_programs_and_folders_below_another_users_closed_one(
    walled: Lab, open_folder: Path
) -> None:
    closed = open_folder / "of-another"
    (closed / "tools").mkdir(parents=True)
    (closed / "tools" / "data").write_text("found")
    os.chown(closed, 65534, 65534)
    closed.chmod(0o700)
    spec = replace(
        walled.spec(f"cat {closed}/tools/data; ls /proc/$$/fd; {IDLE}"), programs=(closed / "tools",)
    )
    walled.start(spec)

    eventually(lambda: walled.log(spec).startswith("found"))
    eventually(lambda: "2" in walled.log(spec))
    assert set(walled.log(spec).removeprefix("found").split()) <= {"0", "1", "2", "10"}


def test_a_program_that_would_show_the_daemons_folder_is_refused(walled: Lab) -> None:
    spec = replace(walled.spec(IDLE), programs=(walled.root,))

    with pytest.raises(Refused, match="hive's own files"):
        walled.start(spec)


@pytest.mark.parametrize("missing", ["programs", "binds"])
def test_what_is_not_there_is_named(walled: Lab, missing: str) -> None:
    nowhere = walled.root / "nowhere"
    spec = walled.spec(IDLE)
    if missing == "programs":
        spec = replace(spec, programs=(nowhere,))
    else:
        spec = replace(spec, binds=(*spec.binds, Bind(nowhere, Path("/nowhere"))))

    with pytest.raises(Broken, match="nowhere is not there"):
        walled.start(spec)


def test_a_bind_may_lie_in_another_and_a_read_only_one_stays_so(walled: Lab) -> None:
    inner = walled.root / "inner"
    inner.mkdir()
    (walled.state / "sub").mkdir()
    spec = walled.spec(f"echo x > sub/file; echo y > file; echo done; {IDLE}")
    walled.start(replace(spec, binds=(Bind(inner, Path("/state/sub")), *spec.binds)))
    eventually(lambda: "done" in walled.log(spec))

    assert not (inner / "file").exists()
    assert (walled.state / "file").exists()


def test_a_host_path_is_named_by_the_closest_bind() -> None:
    binds = (Bind(Path("/a"), Path("/x")), Bind(Path("/a/b"), Path("/y")))

    assert walls.inside(binds, Path("/a/c")) == Path("/x/c")
    assert walls.inside(binds, Path("/a/b/c")) == Path("/y/c")
    assert walls.inside(binds, Path("/ab")) == Path("/ab")
    assert walls.inside(binds, Path(sys.executable)) == Path(sys.executable)
