"""How a daemon starts, refuses to, and ends."""

import asyncio
import json
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from hyperhive.rehearsal.scenario import load
from hyperhive.rehearsal.server import Rehearsal
from tests.e2e.hive import SCENARIO, RealHive, hive
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


@pytest.fixture
def real() -> Iterator[RealHive]:
    with hive() as made:
        yield made


def refused(real: RealHive, *flags: str) -> str:
    """The line that a start leaves which is refused; it ends within seconds, with 1."""
    return real.cli("up", "--no-browser", "--rehearse", "--port", "0", *flags, code=1)


def test_it_answers_soon_after_its_start(real: RealHive) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    real.launch(port=port)

    def answers() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/login", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    eventually(answers, 60)
    assert httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).headers["location"].startswith("/login")


class Unheard(RealHive):
    """Its daemon's standard output is on a disk that is full."""

    def starting(self, flags: list[str]) -> list[str]:
        return ["sh", "-c", 'exec "$0" "$@" >/dev/full', *super().starting(flags)]


def test_an_address_that_cannot_be_printed_keeps_no_hive_from_its_work() -> None:
    with hive(kind=Unheard) as real:
        real.launch()
        daemon, door = real.daemon, real.run / "host.sock"
        assert daemon is not None
        eventually(lambda: door.exists() or daemon.poll() is not None, real.start_deadline)
        assert "REHEARSAL" in real.cli("list")
        assert "hyperhive open" in real.complaints()
        assert real.cli("open").startswith("http")
        real.down()


def test_a_second_daemon_is_refused_and_names_the_first(real: RealHive) -> None:
    real.up()
    assert real.daemon is not None
    for other in ({"HYPERHIVE_RUN": f"{real.place}/run2"}, {"HYPERHIVE_HOME": f"{real.place}/home2"}, {}):
        kept = real.env
        real.env = kept | other
        said = refused(real)
        real.env = kept
        assert said.count("\n") == 1
        assert f"pid {real.daemon.pid}" in said
    assert real.state()["hive"]["mode"] == "rehearsal"


def test_what_a_killed_daemon_left_is_no_obstacle(real: RealHive) -> None:
    real.up()
    real.quiet()
    leader = real.leader("manager")
    real.kill()
    assert (real.home / "daemon.lock").exists()
    assert (real.run / "host.sock").exists()
    assert real.cli("list", code=3)
    real.up()
    real.shows("manager", ready=True)
    assert real.leader("manager") == leader
    assert "REHEARSAL" in real.cli("list")


def test_a_port_that_is_taken_is_named(real: RealHive) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        said = refused(real, "--port", str(port))
    assert f"127.0.0.1:{port}" in said
    assert "--port" in said


def test_an_address_beyond_this_machine_wants_a_flag(real: RealHive) -> None:
    assert "--public" in refused(real, "--host", "0.0.0.0")


def test_without_git_it_does_not_start_and_says_what_to_install(real: RealHive) -> None:
    real.env["PATH"] = "/nonexistent"
    assert refused(real) == "hyperhive: git is not on PATH; install git, then try again.\n"


def test_a_database_of_a_newer_hyperhive_is_left_alone(real: RealHive) -> None:
    real.up()
    real.cli("stop", "manager")
    real.down()
    with closing(sqlite3.connect(real.home / "hive.sqlite")) as database:
        database.execute("PRAGMA user_version = 9999")
    before = (real.home / "hive.sqlite").read_bytes()
    assert "newer" in refused(real)
    assert (real.home / "hive.sqlite").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("operator.token", b"half", "operator.token holds no token; delete it"),
        ("hyperhive.toml", b"runtime = ", "hyperhive.toml cannot be read: Invalid value"),
        ("hive.sqlite-wal", b"x" * 5000, "hive.sqlite is missing, its log hive.sqlite-wal is there"),
        ("hive.sqlite", b"Dear diary, " * 500, "hive.sqlite is not a hyperhive database"),
        ("rehearsal.key", None, "rehearsal.key is no file, as it must be; move it away"),
    ],
)
def test_what_it_cannot_serve_is_told_in_one_line_before_any_agent_is_touched(
    real: RealHive, name: str, content: bytes | None, said: str
) -> None:
    real.home.mkdir(mode=0o700)
    if content is None:
        (real.home / name).mkdir()
    else:
        (real.home / name).write_bytes(content)
        (real.home / name).chmod(0o600)
    line = refused(real)
    assert said in line
    assert line.count("\n") == 1
    assert not (real.home / "agents").exists()
    assert content is None or (real.home / name).read_bytes() == content


def test_a_disk_without_room_is_told_with_numbers(real: RealHive) -> None:
    mount = f'mount -t tmpfs -o size=1m,mode=0700 tmpfs {real.home} && exec "$@"'
    wrapped = ["unshare", "--mount", "--map-root-user", "sh", "-c", mount, "sh"]
    real.home.mkdir(mode=0o700)
    if subprocess.run([*wrapped, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("no file system can be mounted here")
    words = [*wrapped, real.command, "up", "--no-browser", "--rehearse", "--port", "0"]
    done = subprocess.run(words, env=real.env, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "KiB free, 16384 KiB are needed; free some, or choose another place" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_scenario_with_a_mistake_is_named(real: RealHive) -> None:
    bad = real.place / "bad.toml"
    bad.write_text('title = "x"\n[[rule]]\nname = "y"\n[[rule.step]]\nsing = "la"\n')
    real.env["HYPERHIVE_SCENARIO"] = str(bad)
    said = refused(real)
    assert said.startswith("hyperhive: bad.toml: rule 1")
    assert said.count("\n") == 1


def test_it_ends_at_once_with_open_streams_and_its_agents_run_on(real: RealHive) -> None:
    real.up()
    real.quiet()
    leader = real.leader("manager")

    def read(path: str) -> None:
        for _ in real.frames(path, deadline=60):
            pass

    readers = [threading.Thread(target=read, args=(path,)) for path in _STREAMS]
    for reader in readers:
        reader.start()
    eventually(lambda: "hyperhive_http_streams 3" in real.http.get("/metrics").text, 60)
    real.down()
    assert "graceful shutdown exceeded" not in real.complaints()  # as it says when it waited for readers
    for reader in readers:
        reader.join(60)
        assert not reader.is_alive()
    assert leader.alive
    assert "Traceback" not in real.complaints()
    assert not (real.run / "host.sock").exists()


_STREAMS = ("/api/events", "/api/events?views=1", "/api/agents/manager/logs?follow=1")


@contextmanager
def messages_api() -> Iterator[str]:
    """A Messages API elsewhere on this machine; its URL."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    api = Rehearsal(scenario=load(SCENARIO), keys=lambda key: "manager" if key == "sk-live" else None)
    try:
        yield asyncio.run_coroutine_threadsafe(api.start(), loop).result(60)
    finally:
        asyncio.run_coroutine_threadsafe(api.stop(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()


def test_with_a_key_in_the_environment_it_is_live(real: RealHive) -> None:
    real.rehearse = False
    with messages_api() as url:
        real.env |= {"ANTHROPIC_API_KEY": "sk-live", "ANTHROPIC_BASE_URL": url}
        real.up()
        assert real.state()["hive"]["mode"] == "live"
        assert "live" in (real.place / "out").read_text()
        assert "REHEARSAL" not in real.cli("list")
        assert real.ask("manager", "run: echo well").strip() == "ran: well"
        assert real.agent("manager")["login"] == "logged-in"
        real.cli("stop", "manager")


def test_with_a_stored_login_it_is_live_unless_a_rehearsal_is_wanted(real: RealHive) -> None:
    folder = real.folder("manager") / "claude"
    folder.mkdir(parents=True, mode=0o700)
    real.home.chmod(0o700)
    _log_in(folder)
    real.rehearse = False
    real.env["ANTHROPIC_BASE_URL"] = "http://127.0.0.1:9"
    real.up()
    assert real.state()["hive"]["mode"] == "live"
    real.shows("manager", login="logged-in", container="running")
    real.down()
    real.rehearse = True
    real.up()
    assert real.state()["hive"]["mode"] == "rehearsal"


def _log_in(folder: Path) -> None:
    login = {"claudeAiOauth": {"accessToken": "x", "refreshToken": "y", "expiresAt": 4_102_444_800_000}}
    (folder / ".credentials.json").write_text(json.dumps(login))


def test_without_any_credentials_it_rehearses(real: RealHive) -> None:
    real.rehearse = False
    real.up()
    assert real.state()["hive"]["mode"] == "rehearsal"
    assert "REHEARSAL" in real.cli("list")
