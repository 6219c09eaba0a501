"""As root, the same once more as a user without rights: what ``make up`` without root relies on."""

import os
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from hyperhive.domain.limits import Limits
from hyperhive.runtimes.base import Bind, LaunchSpec, Runtime
from hyperhive.runtimes.bubblewrap import Bubblewrap
from hyperhive.runtimes.cgroups import Cgroups
from hyperhive.runtimes.process import Process
from tests.nobody import NOBODY, as_nobody
from tests.runtimes.lab import IDLE, Lab, make
from tests.waiting import eventually

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="the other tests run as a plain user already"),
]


def _says(lab: Lab, spec: LaunchSpec, word: str) -> bool:
    return word in lab.log(spec)


def _python() -> Path:
    """An interpreter that any user may execute."""
    for path in (Path("/usr/bin/python3"), Path("/usr/local/bin/python3")):
        if path.exists():
            return path
    pytest.skip("no interpreter that a plain user may execute: install python3 system-wide")


def _runtime(name: str) -> Runtime:
    make(name)
    return Process(python=_python()) if name == "process" else Bubblewrap(python=_python())


@pytest.mark.parametrize("name", ["process", "bubblewrap"])
def test_a_plain_user_starts_finds_enters_and_stops(name: str, open_folder: Path) -> None:
    runtime = _runtime(name)

    def task() -> None:
        assert runtime.probe().works
        lab = Lab(runtime, open_folder / "lab")
        spec = lab.spec(f"id -u; echo x > mine; {IDLE}", env={"TOKEN": "t"})
        handle = lab.start(spec)
        eventually((lab.state / "mine").exists)
        assert (lab.state / "mine").stat().st_uid == NOBODY
        assert runtime.find(spec.folder, None) == handle
        (spec.folder / "status").rename(spec.folder / "kept")
        assert runtime.find(spec.folder, None) == handle
        (spec.folder / "kept").rename(spec.folder / "status")
        command = runtime.enter(handle, ("/bin/sh", "-c", "touch entered; exit 4"))
        assert subprocess.run(command, timeout=60, check=False).returncode == 4
        assert (lab.state / "entered").stat().st_uid == NOBODY
        runtime.stop(handle, grace=5)
        assert not runtime.alive(handle)
        assert runtime.exit_note(spec.folder, handle) == "killed by SIGTERM"
        lab.close()

    as_nobody(task)


def test_a_plain_users_agent_does_not_reach_that_users_files(open_folder: Path) -> None:
    runtime = _runtime("bubblewrap")

    def task() -> None:
        lab = Lab(runtime, open_folder / "lab")
        token = open_folder / "operator.token"
        token.write_text("secret")
        (lab.state / "link").symlink_to(token)
        tried = f"cat {token} link /etc/shadow; kill -0 {os.getpid()} && echo secret; ls {open_folder}/lab"
        spec = lab.spec(f"{tried}; unshare -Ur true && echo secret; echo end; {IDLE}")
        handle = lab.start(spec)
        eventually(lambda: "end" in lab.log(spec).split())
        assert "secret" not in lab.log(spec)
        assert lab.log(spec).count("No such file") == 4
        command = runtime.enter(handle, ("/bin/sh", "-c", f"test -e {token} || unshare -Ur true || exit 9"))
        assert subprocess.run(command, timeout=60, check=False).returncode == 9
        runtime.stop(handle, grace=5)
        lab.close()

    as_nobody(task)


@pytest.mark.parametrize("name", ["process", "bubblewrap"])
def test_a_plain_users_container_is_shown_folders_while_it_runs(name: str, open_folder: Path) -> None:
    runtime = _runtime(name)

    def task() -> None:
        lab = Lab(runtime, open_folder / "lab")
        spec = replace(lab.spec(IDLE), shares=True)
        handle = lab.start(spec)
        place = runtime.shared(spec.folder)
        for folder in ("config", "applied"):
            (lab.root / folder).mkdir()
        binds = (
            Bind(lab.root / "config", Path("bob/config"), writable=True),
            Bind(lab.root / "applied", Path("bob/applied")),
        )
        runtime.share(spec.folder, handle, binds)
        script = f"echo x > {place}/bob/config/mine; touch {place}/bob/applied/x || touch {place}/x || exit 7"
        command = runtime.enter(handle, ("/bin/sh", "-c", script))
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
        assert done.returncode == (7 if runtime.confined else 0), done.stderr
        assert (lab.root / "config" / "mine").stat().st_uid == NOBODY
        runtime.share(spec.folder, handle, ())
        command = runtime.enter(handle, ("/bin/sh", "-c", f"ls -A {place}"))
        assert subprocess.run(command, capture_output=True, timeout=60, check=True).stdout == b""
        runtime.stop(handle, grace=5)
        lab.close()

    as_nobody(task)


def test_a_plain_users_containers_have_each_their_own_number_of_tasks(open_folder: Path) -> None:
    runtime = Bubblewrap(python=_python(), cgroups=Cgroups(root=open_folder, own=open_folder / "none"))
    make("bubblewrap")
    forks = (
        "import os, time\ncount = 0\ntry:\n while count < 100:\n  if not os.fork(): time.sleep(600)\n  count += 1\n"
        "except OSError as error: print('refused', error.errno, flush=True)\n"
        "print('had', count, flush=True)\ntime.sleep(600)\n"
    )

    def task() -> None:
        limits = Limits(tasks=32)
        if runtime.unheld(limits):
            return
        lab = Lab(runtime, open_folder / "lab")
        specs = [
            replace(
                lab.spec("", name=name), argv=(str(_python()), "-I", "-c", forks), limits=limits, shares=True
            )
            for name in ("alice", "bob")
        ]
        handles = [lab.start(spec) for spec in specs]
        for spec in specs:
            eventually(partial(_says, lab, spec, "had"), 60)
            assert lab.log(spec).split() == ["refused", "11", "had", "30"]
        for handle in handles:
            runtime.stop(handle, grace=0)
        lab.close()

    as_nobody(task)
