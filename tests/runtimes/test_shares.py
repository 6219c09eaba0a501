"""What an agent behind walls sees of the folders it is shown while it runs, and what it can do there."""

import json
import os
import resource
import shutil
import subprocess
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from hyperhive.domain.records import Handle
from hyperhive.errors import Broken
from hyperhive.runtimes import proc
from hyperhive.runtimes.base import Bind, LaunchSpec
from hyperhive.runtimes.bubblewrap import Bubblewrap
from tests.runtimes.lab import IDLE, Lab, make
from tests.waiting import eventually

pytestmark = pytest.mark.slow

_ATTEMPTS = textwrap.dedent("""
    import ctypes, json, os

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

    def remount(path, flags):
        call(libc.mount(b"none", path, None, ctypes.c_ulong(flags), None))

    BIND, REMOUNT = 4096, 32
    found = {
        "make above": attempt(lambda: os.mkdir("/agents/planted")),
        "make beside": attempt(lambda: os.mkdir("/agents/bob/planted")),
        "rename above": attempt(lambda: os.rename("/agents/bob", "/agents/eve")),
        "rename beside": attempt(lambda: os.rename("/agents/bob/config", "/agents/bob/planted")),
        "remove": attempt(lambda: os.rmdir("/agents/bob/config")),
        "link": attempt(lambda: os.symlink("/etc", "/agents/bob/planted")),
        "write read-only": attempt(lambda: open("/agents/bob/applied/note", "a")),
        "make in read-only": attempt(lambda: os.mkdir("/agents/bob/applied/planted")),
        "chmod read-only": attempt(lambda: os.chmod("/agents/bob/applied/note", 0o777)),
        "remount": attempt(lambda: remount(b"/agents/bob/applied", REMOUNT | BIND)),
        "remount above": attempt(lambda: remount(b"/agents", REMOUNT | BIND)),
        "bind again": attempt(lambda: call(libc.mount(b"/agents/bob/applied", b"/tmp", None, BIND, None))),
        "umount": attempt(lambda: call(libc.umount2(b"/agents/bob/applied", 2))),
        "unshare": attempt(lambda: call(libc.unshare(0x10000000))),
        "the porch": attempt(lambda: os.listdir("/sys/hub")),
    }
    found["write writable"] = attempt(lambda: open("/agents/bob/config/mine", "w").write("x"))
    found["make in writable"] = attempt(lambda: os.makedirs("/agents/bob/config/deep/er"))
    with open("/state/found.new", "w") as file:
        json.dump(found, file)
    os.rename("/state/found.new", "/state/found")
""")


def _folders(lab: Lab, agent: str = "bob") -> tuple[Bind, ...]:
    """The folders of an agent, as the manager is to see them."""
    binds = []
    for name in ("config", "state", "applied"):
        host = lab.root / "agents" / agent / name
        host.mkdir(parents=True)
        (host / "note").write_text(name)
        binds.append(Bind(host, Path(agent, name), writable=name != "applied"))
    return tuple(binds)


def _inside(lab: Lab, handle: Handle, script: str) -> "subprocess.CompletedProcess[str]":
    command = lab.runtime.enter(handle, ("/bin/sh", "-c", script))
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def _shown(lab: Lab, spec: LaunchSpec) -> Handle:
    handle = lab.start(replace(spec, shares=True))
    lab.runtime.share(spec.folder, handle, _folders(lab))
    return handle


def test_it_can_write_where_it_may_and_change_nothing_else(walled: Lab) -> None:
    wait = "import os, time\nwhile not os.path.exists('/agents/bob/applied'): time.sleep(0.02)\n"
    spec = walled.python(wait + _ATTEMPTS)
    _shown(walled, spec)
    eventually((walled.state / "found").exists, 60)
    found: dict[str, str] = json.loads((walled.state / "found").read_text())

    done = {what for what, result in found.items() if result == "DONE"}
    assert done == {"write writable", "make in writable"}
    assert (walled.root / "agents/bob/config/deep/er").is_dir()
    assert (walled.root / "agents/bob/config/mine").stat().st_uid == os.geteuid()


def test_what_it_is_shown_gives_no_rights_and_no_devices(walled: Lab) -> None:
    handle = _shown(walled, walled.spec(IDLE))
    mounts = _inside(walled, handle, "grep /agents/ /proc/self/mountinfo").stdout.splitlines()

    assert len(mounts) == 3
    options = {line.split()[4]: set(line.split()[5].split(",")) for line in mounts}
    assert all({"nosuid", "nodev"} <= found for found in options.values())
    assert {place for place, found in options.items() if "ro" in found} == {"/agents/bob/applied"}


def test_git_works_there_as_in_a_folder_of_its_own(walled: Lab) -> None:
    git = shutil.which("git")
    if git is None:
        pytest.skip("git is not installed")
    handle = walled.start(replace(walled.spec(IDLE), shares=True))
    binds = _folders(walled)
    for bind in (binds[0], binds[2]):
        subprocess.run((git, "init", "-q", "-b", "main", str(bind.host)), check=True)
    walled.runtime.share(walled.spec("").folder, handle, binds)
    script = (
        "cd /agents/bob/config && git add note && git -c user.name=m -c user.email=m@h commit -qm first &&"
        "git remote add applied ../applied && git fetch -q applied && git -C /agents/bob/applied status -s"
    )
    done = _inside(walled, handle, script)

    assert done.returncode == 0, done.stderr
    assert "?? note" in done.stdout
    said = subprocess.run(
        (git, "-C", str(binds[0].host), "log", "--format=%s"), capture_output=True, text=True, check=True
    )
    assert said.stdout == "first\n"


def test_a_folder_made_anew_takes_the_place_of_the_removed_one(walled: Lab) -> None:
    spec = replace(walled.spec(IDLE), shares=True)
    handle = walled.start(spec)
    binds = _folders(walled)
    walled.runtime.share(spec.folder, handle, binds)
    shutil.rmtree(walled.root / "agents/bob")
    assert _inside(walled, handle, "ls /agents/bob/config").stdout == ""
    _folders(walled)
    walled.runtime.share(spec.folder, handle, binds)

    assert _inside(walled, handle, "cat /agents/bob/*/note").stdout == "appliedconfigstate"


def test_a_share_changes_between_writable_and_not(walled: Lab) -> None:
    spec = replace(walled.spec(IDLE), shares=True)
    handle = walled.start(spec)
    (bind, *_) = _folders(walled)
    answers = []
    for writable in (False, True, False):
        walled.runtime.share(spec.folder, handle, (bind._replace(writable=writable),))
        answers.append(_inside(walled, handle, "touch /agents/bob/config/x").returncode == 0)

    assert answers == [False, True, False]


def test_what_is_used_inside_can_be_taken_away(walled: Lab) -> None:
    spec = replace(
        walled.spec("until cd /agents/bob/config; do sleep 0.02; done; touch x; " + IDLE), shares=True
    )
    handle = walled.start(spec)
    binds = _folders(walled)
    walled.runtime.share(spec.folder, handle, binds)
    eventually((walled.root / "agents/bob/config/x").exists)
    walled.runtime.share(spec.folder, handle, ())

    assert _inside(walled, handle, "ls -A /agents").stdout == ""
    shutil.rmtree(walled.root / "agents")


def test_showing_the_same_again_does_not_mount_again(walled: Lab) -> None:
    spec = replace(walled.spec(IDLE), shares=True)
    handle = walled.start(spec)
    binds = _folders(walled)
    seen = set()
    for _ in range(3):
        walled.runtime.share(spec.folder, handle, binds)
        seen.add(_inside(walled, handle, "grep /agents/ /proc/self/mountinfo | cut -d' ' -f1").stdout)

    assert len(seen) == 1


def test_nothing_is_mounted_on_the_host_and_nothing_is_left(walled: Lab) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    spec = walled.spec(IDLE)
    handle = _shown(walled, spec)
    around = proc.stat(handle.pid)
    assert around is not None
    assert Path("/proc/self/mountinfo").read_text() == before
    namespace = Path(f"/proc/{around.ppid}/ns/mnt").readlink()
    walled.runtime.stop(handle, grace=5)
    walled.runtime.sweep(spec.folder, spec.name)

    eventually(lambda: str(namespace) not in {_namespace(pid) for pid in proc.pids()})
    shutil.rmtree(walled.root / "agents")


def _namespace(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/ns/mnt").readlink())
    except OSError:
        return ""


def test_hundreds_of_agents_are_shown_at_once(walled: Lab) -> None:
    spec = replace(walled.spec(IDLE), shares=True)
    handle = walled.start(spec)
    binds = tuple(bind for n in range(200) for bind in _folders(walled, f"agent-{n}"))
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, usual[1]))
    try:
        walled.runtime.share(spec.folder, handle, binds)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)

    assert _inside(walled, handle, "cat /agents/*/*/note | wc -c").stdout.strip() == str(200 * 18)


def test_a_daemon_that_was_killed_goes_on_where_it_was(walled: Lab) -> None:
    spec = walled.spec(IDLE)
    handle = _shown(walled, spec)
    again = Bubblewrap()
    found = again.find(spec.folder, None)
    assert found == handle
    again.share(spec.folder, found, _folders(walled, "carol"))

    assert _inside(walled, handle, "ls /agents").stdout == "carol\n"


def test_a_killed_outer_bwrap_is_told_and_the_container_goes_on(walled: Lab) -> None:
    spec = walled.spec(IDLE)
    handle = _shown(walled, spec)
    around = proc.stat(handle.pid)
    assert around is not None
    ticks = proc.start_ticks(around.ppid)
    assert ticks is not None
    proc.send(around.ppid, ticks, 9)
    proc.wait_end(around.ppid, ticks, timeout=40)

    with pytest.raises(Broken, match="restart it"):
        walled.runtime.share(spec.folder, handle, ())
    assert walled.runtime.alive(handle)


def test_where_it_cannot_be_done_the_container_runs_without(walled: Lab) -> None:
    helper = walled.root / "python"
    refuses = 'case "$*" in *" show "*) exit 3;; esac; echo "unshare: Operation not permitted" >&2; exit 1'
    helper.write_text(f"#!/bin/sh\n{refuses}\n")
    helper.chmod(0o755)
    runtime = Bubblewrap(python=helper)
    spec = replace(walled.spec(IDLE), shares=True)
    handle = runtime.start(spec, deadline=20)
    try:
        assert runtime.alive(handle)
        with pytest.raises(
            Broken, match="Nothing can be shown in a running container here: namespaces are not"
        ):
            runtime.share(spec.folder, handle, _folders(walled))
    finally:
        runtime.stop(handle, grace=0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a hive in another user's closed folder")
def test_roots_hive_in_another_users_closed_folder_shows_folders_too(open_folder: Path) -> None:
    closed = open_folder / "of-another"
    closed.mkdir()
    lab = Lab(make("bubblewrap"), closed / "lab")
    os.chown(closed, 65534, 65534)
    closed.chmod(0o700)
    try:
        spec = lab.spec(f"hostname > /state/name; {IDLE}")
        handle = _shown(lab, spec)
        eventually((lab.state / "name").exists)
        assert _inside(lab, handle, "cat /agents/bob/*/note").stdout == "appliedconfigstate"
        assert _inside(lab, handle, "touch /agents/bob/config/x").returncode == 0
    finally:
        lab.close()
