"""What holds for every runtime that really runs the payload."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

import hyperhive
from hyperhive.errors import Broken, Deadline, Refused
from hyperhive.runtimes import proc, spawned
from hyperhive.runtimes.base import Runtime
from hyperhive.runtimes.bubblewrap import Bubblewrap
from hyperhive.runtimes.process import Process
from tests.runtimes.lab import IDLE, Lab
from tests.waiting import eventually

pytestmark = pytest.mark.slow

_FORKS = """
setsid sh -c 'env -u UNUSED setsid sh -c "echo x > orphan; while :; do sleep 0.05; done" &' &
trap '' TERM HUP
echo started
while :; do sleep 0.05; done
"""

_TOLD = "until [ -e go ]; do sleep 0.02; done; rm go"
"""Goes on when a file appears."""


def _all_of(pid: int) -> set[int]:
    below = set(proc.children(pid))
    return below.union(*(_all_of(child) for child in below)) if below else below


def _gone(pids: set[int]) -> bool:
    return not any((s := proc.stat(pid)) is not None and not s.dead for pid in pids)


def test_the_payload_runs_in_its_folder_and_writes_there(real: Lab) -> None:
    real.start(real.spec(f"pwd > where; {IDLE}"))

    eventually(lambda: (real.state / "where").exists() and (real.state / "where").read_text())
    assert (real.state / "where").read_text().strip() == str(real.runtime.inside(real.binds, real.state))


def test_what_it_says_is_appended_to_the_log(real: Lab) -> None:
    spec = real.spec(f"echo one; echo two >&2; {_TOLD}")
    for _ in range(2):
        handle = real.start(spec)
        (real.state / "go").touch()
        assert real.ended(handle)

    assert real.log(spec).split() == ["one", "two", "one", "two"]


def test_a_cut_log_goes_on_from_its_new_end(real: Lab) -> None:
    spec = real.spec("echo before; until [ -e go ]; do sleep 0.02; done; echo after; sleep 0.2")
    handle = real.start(spec)
    eventually(lambda: "before" in real.log(spec))
    os.truncate(spec.folder / "log", 0)
    (real.state / "go").touch()

    assert real.ended(handle)
    assert real.log(spec) == "after\n"


def test_it_gets_its_environment_and_nothing_of_the_daemons(
    real: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAEMONS_OWN", "1")
    spec = real.spec(f"env > seen.new; mv seen.new seen; {IDLE}", env={"GREETING": "hello there"})
    real.start(spec)

    eventually((real.state / "seen").exists)
    seen = (real.state / "seen").read_text()
    assert "GREETING=hello there" in seen
    assert "DAEMONS_OWN" not in seen


def test_what_is_in_its_environment_stands_in_no_command_line(real: Lab) -> None:
    real.start(real.spec(f"touch up; {IDLE}", env={"TOKEN": "never-in-argv-4711"}))
    eventually((real.state / "up").exists)

    lines = (_cmdline(pid) for pid in proc.pids())
    assert not [line for line in lines if b"never-in-argv-4711" in line]


def _cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_it_has_no_descriptor_of_the_daemons(real: Lab) -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    try:
        real.start(real.spec(f"ls /proc/$$/fd > fds.new; mv fds.new fds; {IDLE}"))
        eventually((real.state / "fds").exists)
    finally:
        os.close(reading)
        os.close(writing)
    # 10 is the shell's own, while it redirects.
    assert set((real.state / "fds").read_text().split()) <= {"0", "1", "2", "10"}


def test_it_can_run_this_python_with_its_packages(real: Lab) -> None:
    spec = real.python("import pydantic; print('packages', pydantic.__name__, flush=True); input()")
    real.runtime.sweep(spec.folder, spec.name)
    with pytest.raises(Broken, match="packages pydantic"):
        # stdin is empty, so that input() fails at once, and the log's end is in the message.
        real.ended(real.start(spec))
        raise Broken(real.log(spec))


def test_hyperhive_itself_runs_with_its_package_alone(real: Lab) -> None:
    package = Path(hyperhive.__file__).parent
    spec = real.python("")
    script = "import hyperhive.harness, hyperhive.domain.launch; print('imported', flush=True)"
    argv = (sys.executable, "-c", f"{script}; import time; time.sleep(600)")
    env = {"PYTHONPATH": str(package.parent), "PYTHONSAFEPATH": "1"}
    real.start(replace(spec, argv=argv, env=env, programs=(*spec.programs, package)))

    eventually(lambda: "imported" in real.log(spec))


def test_it_has_a_home_of_its_own(real: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/daemons/home")
    spec = real.spec(f"echo x > $HOME/file && echo at $HOME; {IDLE}")
    real.start(spec)

    eventually(lambda: "at /" in real.log(spec))
    assert "/daemons/home" not in real.log(spec)


def test_its_exit_status_is_told(real: Lab) -> None:
    spec = real.spec(f"{_TOLD}; exit 3")
    handle = real.start(spec)
    (real.state / "go").touch()

    assert real.ended(handle)
    assert real.runtime.exit_note(spec.folder, handle) == "exit status 3"


def test_a_signal_that_ended_it_is_told(real: Lab) -> None:
    spec = real.spec(f"{_TOLD}; kill -SEGV $$")
    handle = real.start(spec)
    (real.state / "go").touch()

    assert real.ended(handle)
    assert real.runtime.exit_note(spec.folder, handle) == "killed by SIGSEGV"


def test_a_stop_asks_first(real: Lab) -> None:
    spec = real.spec(f"trap 'echo goodbye; exit 0' TERM; echo ready; {IDLE}")
    handle = real.start(spec)
    eventually(lambda: "ready" in real.log(spec))
    real.runtime.stop(handle, grace=10)

    assert "goodbye" in real.log(spec)
    assert real.runtime.exit_note(spec.folder, handle) == "exit status 0"


def test_a_stop_kills_after_its_grace_and_leaves_nothing(real: Lab) -> None:
    spec = real.spec(_FORKS)
    handle = real.start(spec)
    eventually((real.state / "orphan").exists)
    everything = {handle.pid, *_all_of(handle.pid)}
    assert len(everything) >= 4
    real.runtime.stop(handle, grace=0.1)

    assert _gone(everything)


def test_the_end_of_the_payload_ends_all_that_came_of_it(real: Lab) -> None:
    spec = real.spec("setsid sh -c 'echo > orphan; sleep 600' & until [ -e go ]; do sleep 0.02; done")
    handle = real.start(spec)
    eventually((real.state / "orphan").exists)
    everything = _all_of(handle.pid)
    (real.state / "go").touch()

    assert real.ended(handle)
    assert _gone(everything)


def test_after_a_kill_of_the_leader_a_sweep_leaves_nothing(real: Lab) -> None:
    spec = real.spec(_FORKS)
    handle = real.start(spec)
    eventually((real.state / "orphan").exists)
    everything = _all_of(handle.pid)
    os.kill(handle.pid, signal.SIGKILL)
    assert real.ended(handle)
    real.runtime.sweep(spec.folder, spec.name)

    assert _gone(everything)


def test_a_start_ends_first_what_an_earlier_one_left(real: Lab) -> None:
    spec = real.spec(_FORKS)
    first = real.start(spec)
    eventually((real.state / "orphan").exists)
    everything = _all_of(first.pid)
    os.kill(first.pid, signal.SIGKILL)
    assert real.ended(first)
    second = real.start(spec)

    assert _gone(everything)
    assert real.runtime.alive(second)


def test_a_program_that_is_not_there_is_told_with_the_logs_end(real: Lab) -> None:
    spec = replace(real.spec(""), argv=("no-such-program",))

    with pytest.raises(Broken, match="no-such-program"):
        real.start(spec)
    assert real.runtime.find(spec.folder, None) is None


def test_one_that_ends_at_once_is_told_with_the_logs_end(real: Lab) -> None:
    spec = real.spec("echo cannot find my config; exit 9")
    try:
        real.ended(real.start(spec))
    except Broken as error:
        assert "cannot find my config" in error.message
        assert "exit status 9" in error.message
    else:
        assert "cannot find my config" in real.log(spec)


def test_a_second_start_while_one_is_under_way_is_refused(real: Lab) -> None:
    spec = real.spec(IDLE)
    with spawned.only_one(spec.folder, spec.name), pytest.raises(Refused, match="being started"):
        real.start(spec)


def _hanging(runtime: Runtime, helper: Path) -> Runtime:
    return Process(python=helper) if runtime.name == "process" else Bubblewrap(bwrap=helper)


def test_a_start_that_hangs_is_given_up_and_cleaned_away(real: Lab) -> None:
    helper = real.root / "hangs"
    helper.write_text('#!/bin/sh\n[ "$1" = --help ] && exit\necho so far so good\nsleep 600 & sleep 600\n')
    helper.chmod(0o755)
    spec = real.spec(IDLE)

    with pytest.raises(Deadline, match="so far so good"):
        _hanging(real.runtime, helper).start(spec, deadline=0.5)
    note = spawned.read_note(spec.folder, real.runtime.name)
    assert note is not None
    assert not proc.marked(note.mark)


def test_it_outlives_who_started_it_and_is_found_again(real: Lab) -> None:
    script = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        from hyperhive.domain.limits import Limits
        from hyperhive.runtimes.base import Bind, LaunchSpec
        from hyperhive.runtimes.bubblewrap import Bubblewrap
        from hyperhive.runtimes.process import Process
        runtime = {type(real.runtime).__name__}()
        root = Path(sys.argv[1])
        binds = (Bind(root / "state", Path("/state"), writable=True),)
        argv = ("/bin/sh", "-c", "{IDLE}")
        spec = LaunchSpec("alice", root / "alice-run", argv, Limits(), binds=binds, workdir=root / "state")
        print(runtime.start(spec, deadline=20).pid)
    """)
    done = subprocess.run(
        (sys.executable, "-c", script, str(real.root)), capture_output=True, text=True, check=True, timeout=30
    )
    found = real.runtime.find(real.root / "alice-run", None)

    assert found is not None
    assert found.pid == int(done.stdout)
    real.runtime.stop(found, grace=5)
    assert not real.runtime.alive(found)
    assert real.runtime.exit_note(real.root / "alice-run", found) == "killed by SIGTERM"


def test_a_status_file_that_names_a_stranger_is_not_believed(real: Lab) -> None:
    spec = real.spec(IDLE)
    handle = real.start(spec)
    (spec.folder / "status").write_text(json.dumps({"child-pid": os.getpid()}) + "\n")

    assert real.runtime.find(spec.folder, None) is None
    real.runtime.stop(handle, grace=5)


def test_one_whose_start_was_cut_short_before_its_status_is_found_by_its_mark(real: Lab) -> None:
    spec = real.spec(IDLE)
    handle = real.start(spec)
    (spec.folder / "status").unlink()

    assert real.runtime.find(spec.folder, None) == handle


def test_a_command_can_be_run_inside(real: Lab) -> None:
    handle = real.start(real.spec(IDLE))
    command = real.runtime.enter(handle, ("/bin/sh", "-c", "pwd; touch from-outside; exit 5"))
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 5, done.stderr
    assert done.stdout.strip() == str(real.runtime.inside(real.binds, real.state))
    assert (real.state / "from-outside").exists()
