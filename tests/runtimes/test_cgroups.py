"""Limits in control groups: what is written where, and, where this machine allows it, that they hold."""

import errno
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from hyperhive.domain.limits import Limits
from hyperhive.errors import Broken
from hyperhive.runtimes import cgroups
from hyperhive.runtimes.bubblewrap import Bubblewrap
from hyperhive.runtimes.cgroups import OUT_OF_MEMORY, Cgroups
from hyperhive.runtimes.process import Process
from tests.runtimes.lab import IDLE, Lab, make
from tests.waiting import eventually

pytestmark = pytest.mark.slow

_ALL = Limits(memory="1G", cpus=1.5, tasks=64)


class Machine:
    """Files as the kernel shows them, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "cgroup"
        self.own = folder / "own"
        self.container = folder / "container"
        self.container.mkdir(parents=True)
        self.cgroups = Cgroups(root=self.root, own=self.own)

    def file(self, path: str, text: str = "") -> Path:
        """Make a file."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def read(self, path: str) -> str:
        """What stands in a file."""
        return (self.root / path).read_text()


@pytest.fixture
def two(tmp_path: Path) -> Machine:
    """Version 2, the daemon in a service of its own that was delegated to it."""
    machine = Machine(tmp_path)
    machine.own.write_text("0::/system.slice/hive.service\n")
    machine.file("system.slice/hive.service/cgroup.controllers", "cpu memory pids\n")
    machine.file("system.slice/hive.service/cgroup.subtree_control", "cpu memory pids\n")
    machine.file("system.slice/hive.service/cgroup.procs")
    return machine


@pytest.fixture
def one(tmp_path: Path) -> Machine:
    """Version 1, with two controllers on one hierarchy."""
    machine = Machine(tmp_path)
    machine.own.write_text("4:memory:/mine\n3:pids:/\n2:cpu,cpuacct:/elsewhere\n")
    for folder in ("memory/mine", "pids", "cpu,cpuacct"):
        machine.file(f"{folder}/cgroup.procs")
    return machine


def test_version_two_holds_all_in_one_group_below_the_daemons(two: Machine) -> None:
    group = "system.slice/hive.service/hyperhive-x"

    assert two.cgroups.unheld(_ALL) == {}
    assert two.cgroups.make(two.container, "x", _ALL) == (two.root / group / "cgroup.procs",)
    assert two.read(f"{group}/memory.max") == str(1 << 30)
    assert two.read(f"{group}/cpu.max") == "150000 100000"
    assert two.read(f"{group}/pids.max") == "65"


def test_version_one_holds_each_in_a_group_of_its_hierarchy(one: Machine) -> None:
    assert one.cgroups.unheld(_ALL) == {}
    assert one.cgroups.make(one.container, "x", _ALL) == tuple(
        one.root / folder / "hyperhive-x/cgroup.procs" for folder in ("memory/mine", "cpu,cpuacct", "pids")
    )
    assert one.read("memory/mine/hyperhive-x/memory.limit_in_bytes") == str(1 << 30)
    assert one.read("cpu,cpuacct/hyperhive-x/cpu.cfs_quota_us") == "150000"
    assert one.read("pids/hyperhive-x/pids.max") == "65"


def test_only_what_is_asked_for_is_made(one: Machine) -> None:
    assert one.cgroups.make(one.container, "x", Limits()) == ()
    assert len(one.cgroups.make(one.container, "y", Limits(tasks=20))) == 1


def test_a_controller_that_is_not_there_is_named(two: Machine) -> None:
    two.file("system.slice/hive.service/cgroup.controllers", "pids")

    assert two.cgroups.unheld(_ALL) == {
        "memory": "no writable cgroup for memory",
        "cpus": "no writable cgroup for cpu",
    }
    (file,) = two.cgroups.make(two.container, "x", _ALL)
    assert not (file.parent / "memory.max").exists()


def test_a_controller_is_switched_on_for_the_groups_below(two: Machine) -> None:
    two.file("system.slice/hive.service/cgroup.subtree_control", "")

    assert two.cgroups.unheld(Limits(tasks=64)) == {}
    assert two.read("system.slice/hive.service/cgroup.subtree_control") == "+pids"


def test_the_daemons_own_leaf_is_not_what_groups_are_made_below(two: Machine) -> None:
    two.own.write_text("0::/system.slice/hive.service/hyperhive-daemon\n")
    two.file("system.slice/hive.service/hyperhive-daemon/cgroup.procs", str(os.getpid()))

    (file,) = two.cgroups.make(two.container, "x", Limits(tasks=64))
    assert file.parent == two.root / "system.slice/hive.service/hyperhive-x"


@pytest.mark.parametrize("own", ["", "0::/../elsewhere\n", "1:name=systemd:/\n", "0::/nowhere\n"])
def test_without_a_group_of_ours_nothing_holds(own: str, tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.own.write_text(own)

    assert set(machine.cgroups.unheld(_ALL)) == {"memory", "cpus", "tasks"}
    assert machine.cgroups.make(machine.container, "x", _ALL) == ()


def test_a_group_that_cannot_be_made_is_told(two: Machine) -> None:
    two.file("system.slice/hive.service/hyperhive-x/cgroup.procs")

    with pytest.raises(Broken, match="limits could not be set"):
        two.cgroups.make(two.container, "x", _ALL)


class Kernel:
    """Refuses controllers for the groups below as long as the group has processes itself."""

    def __init__(self, machine: Machine, group: str) -> None:
        self._members = machine.root / group / "cgroup.procs"

    def write(self, group: Path, file: str, value: str) -> None:
        """What a write to a group's file does."""
        members = self._members.read_text().split()
        if file == "cgroup.subtree_control" and members:
            raise OSError(errno.EBUSY, "Device or resource busy")
        if file == "cgroup.procs":
            self._members.write_text("\n".join(pid for pid in members if pid != value))
        with (group / file).open("a") as out:
            out.write(f"{value}\n")


@pytest.fixture
def crowded(two: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Version 2 as a service manager hands it over: the daemon is in the group that is to have others below."""
    two.file("system.slice/hive.service/cgroup.subtree_control", "")
    monkeypatch.setattr(cgroups, "_write", Kernel(two, "system.slice/hive.service").write)
    return two


def test_the_daemon_makes_room_by_moving_into_a_group_beside_the_containers(crowded: Machine) -> None:
    child = subprocess.Popen(("sleep", "600"))
    try:
        crowded.file("system.slice/hive.service/cgroup.procs", f"{os.getpid()}\n{child.pid}\n")

        assert crowded.cgroups.unheld(_ALL) == {}
        moved = crowded.read("system.slice/hive.service/hyperhive-daemon/cgroup.procs").split()
        assert set(moved) == {str(os.getpid()), str(child.pid)}
        assert crowded.read("system.slice/hive.service/cgroup.subtree_control").split() == [
            "+memory",
            "+cpu",
            "+pids",
        ]
    finally:
        child.kill()
        child.wait()


def test_programs_that_are_not_ours_are_never_moved(crowded: Machine) -> None:
    crowded.file("system.slice/hive.service/cgroup.procs", f"{os.getpid()}\n1\n")

    assert set(crowded.cgroups.unheld(_ALL).values()) == {
        "other programs are in the daemon's cgroup; run it as a service with Delegate=yes"
    }
    assert crowded.read("system.slice/hive.service/cgroup.procs").split() == [str(os.getpid()), "1"]


_USED_UP = {
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    "memory.events": "low 0\noom 3\noom_kill 1\noom_group_kill 1\n",
}


@pytest.mark.parametrize("file", _USED_UP)
def test_memory_that_was_used_up_shows_in_either_version(file: str, one: Machine) -> None:
    one.cgroups.make(one.container, "x", _ALL)
    assert not one.cgroups.ran_out(one.container)
    one.file(f"memory/mine/hyperhive-x/{file}", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n")
    assert not one.cgroups.ran_out(one.container)
    one.file(f"memory/mine/hyperhive-x/{file}", _USED_UP[file])
    assert one.cgroups.ran_out(one.container)


@pytest.mark.parametrize("kind", [Bubblewrap, Process])
def test_what_nothing_holds_is_told_in_a_sentence(kind: "type[Bubblewrap | Process]", tmp_path: Path) -> None:
    runtime = kind(cgroups=Cgroups(root=tmp_path, own=tmp_path / "own"))

    assert runtime.unheld(Limits(memory="1G", cpus=1)) == (
        f"limits.memory does not hold under {kind.name} here: no writable cgroup for memory.",
        f"limits.cpus does not hold under {kind.name} here: no writable cgroup for cpu.",
    )


@pytest.mark.parametrize("kind", [Bubblewrap, Process])
def test_a_container_whose_limits_nothing_holds_starts_anyway(
    kind: "type[Bubblewrap | Process]", tmp_path: Path
) -> None:
    make(kind.name)
    runtime = kind(cgroups=Cgroups(root=tmp_path, own=tmp_path / "own"))
    lab = Lab(runtime, tmp_path / "lab")
    try:
        assert runtime.alive(lab.start(replace(lab.spec(IDLE), limits=_ALL)))
    finally:
        lab.close()


# -- for real


def _held(lab: Lab, limits: Limits) -> None:
    if missing := lab.runtime.unheld(limits):
        pytest.skip(" ".join(missing))


def test_who_uses_up_its_memory_is_killed_and_the_reason_is_told(real: Lab) -> None:
    limits = Limits(memory="128M")
    _held(real, limits)
    spec = replace(
        real.python("kept = [bytearray(1 << 20) for _ in range(512)]; print('had all')"), limits=limits
    )
    handle = real.start(spec)

    assert real.ended(handle)
    assert "had all" not in real.log(spec)
    note = real.runtime.exit_note(spec.folder, handle)
    assert note == f"killed by SIGKILL, {OUT_OF_MEMORY}"


def test_who_forks_on_and_on_is_stopped_at_its_limit(real: Lab) -> None:
    limits = Limits(tasks=32)
    _held(real, limits)
    script = (
        "import os, time\ncount = 0\ntry:\n while count < 100:\n  if not os.fork(): time.sleep(600)\n  count += 1\n"
        "except OSError as error: print('refused', error.errno, flush=True)\n"
        "print('had', count, flush=True)\ntime.sleep(600)\n"
    )
    spec = replace(real.python(script), limits=limits)
    handle = real.start(spec)
    eventually(lambda: "had" in real.log(spec), 60)

    said = real.log(spec).split()
    assert said[:3] == ["refused", "11", "had"]
    assert 28 <= int(said[3]) <= 32
    real.runtime.stop(handle, grace=0)


def test_what_is_run_in_a_container_from_outside_is_held_too(tmp_path: Path) -> None:
    lab, limits = Lab(make("bubblewrap"), tmp_path / "lab"), Limits(memory="128M", tasks=32)
    try:
        _held(lab, limits)
        handle = lab.start(replace(lab.spec(IDLE), limits=limits))
        command = lab.runtime.enter(handle, ("cat", "/proc/self/cgroup"))
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        held = [
            line
            for line in Path(f"/proc/{handle.pid}/cgroup").read_text().splitlines()
            if "hyperhive-" in line
        ]
    finally:
        lab.close()
    assert held
    assert set(held) <= set(done.stdout.splitlines())


def test_processor_time_is_shared_out_as_asked(real: Lab) -> None:
    limits = Limits(cpus=0.2)
    _held(real, limits)
    script = (
        "import time\nbegan, used = time.monotonic(), time.process_time()\n"
        "while time.monotonic() - began < 1.5: pass\n"
        "print('used', time.process_time() - used, flush=True)\ntime.sleep(600)\n"
    )
    spec = replace(real.python(script), limits=limits)
    real.start(spec)
    eventually(lambda: "used" in real.log(spec), 60)

    assert float(real.log(spec).split()[1]) < 0.7


def test_nothing_is_left_of_its_groups_after_a_sweep(real: Lab) -> None:
    _held(real, _ALL)
    spec = replace(real.spec(f"cat /proc/self/cgroup > g.new; mv g.new g; {IDLE}"), limits=_ALL, shares=True)
    handle = real.start(spec)
    groups = [
        line for line in Path(f"/proc/{handle.pid}/cgroup").read_text().splitlines() if "hyperhive-" in line
    ]
    assert groups
    noted = (spec.folder / "cgroups.json").read_text()
    real.runtime.stop(handle, grace=5)
    real.runtime.sweep(spec.folder, spec.name)

    assert not [path for path in noted.strip("[]").replace('"', "").split(", ") if Path(path).exists()]
    assert not (spec.folder / "cgroups.json").exists()


def test_a_failed_start_leaves_no_groups(real: Lab) -> None:
    _held(real, _ALL)
    spec = replace(real.spec(""), argv=("no-such-program",), limits=_ALL)
    with pytest.raises(Broken, match="no-such-program"):
        real.start(spec)

    assert not (spec.folder / "cgroups.json").exists()
