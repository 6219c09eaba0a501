"""An agent under bubblewrap, in its real container, tries to reach what is not its own: refused."""

import json
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hyperhive.domain.records import Handle
from hyperhive.runtimes.bubblewrap import Bubblewrap
from hyperhive.runtimes.proc import boot_id
from tests.e2e import attack
from tests.e2e.hive import RealHive, hive

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

SECRET = "a-secret-of-bob-and-nobody-else"
NAME = "bobs-own-file"


@pytest.fixture(scope="module")
def real() -> Iterator[RealHive]:
    with hive() as made:
        made.up()
        made.spawn("alice")
        made.spawn("bob")
        (made.folder("bob") / "state" / NAME).write_text(SECRET)
        made.quiet()
        yield made


def attempt(real: RealHive, kind: str, told: dict[str, Any] | None = None) -> Any:
    """Run one kind of attack in alice's container; what came of it."""
    shutil.copy(attack.__file__, real.folder("alice") / "state" / "attack.py")
    leader = real.leader("alice")
    handle = Handle("bubblewrap", leader.pid, leader.ticks, boot_id())
    command = Bubblewrap().enter(handle, (sys.executable, "-I", "/state/attack.py", kind))
    done = subprocess.run(
        command, input=json.dumps(told or {}), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def foreign(real: RealHive) -> list[Path]:
    bob = real.folder("bob")
    return [
        real.place,
        real.home,
        real.home / "operator.token",
        real.home / "rehearsal.key",
        real.home / "hive.sqlite",
        real.folder("alice") / "applied" / "agent.toml",
        real.folder("alice") / "container" / "log",
        *(bob / part for part in ("state", f"state/{NAME}", "claude", "harness")),
        *sockets(real),
    ]


def sockets(real: RealHive) -> list[Path]:
    others = [real.run / "agents" / n / s for n in ("bob", "manager") for s in ("hive.sock", "mcp.sock")]
    return [real.run / "host.sock", *others]


def test_files_of_others_and_of_the_daemon_are_not_there(real: RealHive) -> None:
    assert [path for path in foreign(real) if not path.exists()] == []
    assert real.daemon is not None
    pids = [real.daemon.pid, *(p.pid for p in real.inside("bob"))]
    names = [NAME, "operator.token", "rehearsal.key", "hive.sqlite", "host.sock"]
    told = {"paths": list(map(str, foreign(real))), "pids": pids, "names": names, "secret": SECRET}
    assert attempt(real, "files", told) == []


def test_sockets_of_others_and_of_the_daemon_are_not_there(real: RealHive) -> None:
    paths = [*map(str, sockets(real)), *(f"/run/hive/../../{path}" for path in sockets(real))]
    assert attempt(real, "sockets", {"paths": paths}) == []
    assert attempt(real, "sockets", {"paths": ["/run/hive/hive.sock"]}) == ["/run/hive/hive.sock"]


def test_what_claude_runs_sees_as_little(real: RealHive) -> None:
    token, bob = real.home / "operator.token", real.folder("bob") / "state" / NAME
    said = real.ask("alice", f"run: cat {token} {bob} 2>&1; ls {real.run} 2>&1; echo end")
    assert SECRET not in said
    assert real.token not in said
    assert said.count("No such file") == 3


def test_the_operators_api_lets_nobody_in_without_the_token(real: RealHive) -> None:
    post: dict[str, Any] = {
        "method": "POST",
        "headers": {"Content-Type": "application/json"},
        "body": {"name": "eve"},
    }
    get: dict[str, Any] = {"method": "GET", "headers": {}}
    guessed = {"Authorization": f"Bearer {secrets.token_urlsafe(32)}"}
    own_host = f"127.0.0.1:{real.port}"
    requests = {
        401: [
            {**get, "path": "/api/state"},
            {**get, "path": "/api/events"},
            {**get, "path": "/metrics"},
            {**get, "path": "/api/agents/bob/logs"},
            {**get, "path": "/api/state", "headers": guessed},
            {**get, "path": "/api/state", "headers": {"Authorization": "Bearer "}},
            {**get, "path": "/api/state", "headers": {"Cookie": "hyperhive=x"}},
            {**post, "path": "/api/agents"},
            {**post, "path": "/api/agents", "headers": {**post["headers"], **guessed}},
            {**post, "path": "/api/agents/bob/stop"},
            {**post, "path": "/mcp"},
            {"method": "DELETE", "path": "/api/agents/bob?purge=1", "headers": guessed},
        ],
        421: [
            {**get, "path": "/api/state", "headers": {"Host": "evil.example"}},
            {**get, "path": "/healthz", "headers": {"Host": f"evil.example:{real.port}"}},
        ],
        403: [
            {**post, "path": "/api/agents", "headers": {**post["headers"], "Origin": "https://evil.example"}},
            {**post, "path": "/login", "headers": {"Host": own_host, "Origin": "null"}},
        ],
    }
    for expected, asked in requests.items():
        answers = attempt(real, "http", {"url": real.url, "requests": asked})
        assert answers == [expected] * len(asked)
    # What only the command line's socket serves is not there over TCP, not even for the operator.
    assert real.http.get("/api/token").status_code == 404
    assert {a["name"] for a in real.state()["agents"]} == {"manager", "alice", "bob"}
    assert real.agent("bob")["container"] == "running"


def test_its_rehearsal_key_is_its_own_and_cannot_be_made_anothers(real: RealHive) -> None:
    found = attempt(real, "rehearsal", {"names": ["bob", "manager"]})
    assert found["agent"] == "alice"
    assert found["env"] == ["ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"]
    assert found["statuses"] == [200, 401, 401, 401, 401]
    assert real.ask("alice", "run: echo well").strip() == "ran: well"


def test_forged_reports_end_nobody_elses_turn(real: RealHive) -> None:
    before = real.newest()
    id = real.send("bob", "run: until test -e go; do sleep 0.1; done; echo well")
    real.until(lambda: real.agent("bob")["turn"]["state"] == "thinking")
    turn = real.agent("bob")["turn"]["turn"]
    found = attempt(real, "forge", {"turns": [turn, turn + 1, 1], "name": "bob"})
    assert found == {"agent": "alice", "acks": [{"type": "ack", "n": n} for n in (1, 2, 3)]}
    assert real.agent("bob")["turn"]["state"] == "thinking"
    assert real.rows("SELECT state FROM messages WHERE id = ?", id) == [("taken",)]
    (real.folder("bob") / "state" / "go").touch()
    assert real.word("bob", after=before).strip() == "ran: well"
    real.shows("alice", ready=True)
    assert real.ask("alice", "run: echo well").strip() == "ran: well"


def test_its_mcp_socket_has_its_own_verbs_and_its_own_name(real: RealHive) -> None:
    before = real.newest()
    calls: list[tuple[str, dict[str, object]]] = [
        ("stop", {"name": "bob"}),
        ("update", {"name": "alice"}),
        ("list_agents", {}),
        ("get_logs", {"name": "bob"}),
        ("send", {"to": "operator", "body": "hi", "sender": "bob", "from": "bob", "agent": "manager"}),
        ("recv", {"agent": "bob", "max": 10}),
        ("whoami", {"name": "manager"}),
    ]
    answers = attempt(real, "impersonate", {"calls": calls})
    for (tool, _), answer in zip(calls[:4], answers[:4], strict=True):
        assert "error" in answer or answer["result"]["isError"], tool
    assert {m["from"] for m in real.messages() if m["id"] > before} <= {"alice"}
    who = answers[-1].get("result", {})
    assert who.get("isError") or who["structuredContent"]["name"] == "alice"
    assert real.agent("bob")["container"] == "running"


def test_noise_on_its_sockets_slows_nobody_down(real: RealHive) -> None:
    def asked() -> float:
        began = time.monotonic()
        assert real.http.get("/api/state").status_code == 200
        return time.monotonic() - began

    calm = max(asked() for _ in range(30))
    slowest = 0.0
    done = threading.Event()

    def noisy() -> None:
        attempt(real, "noise")
        done.set()

    thread = threading.Thread(target=noisy)
    thread.start()
    while not done.wait(0.05):
        slowest = max(slowest, asked())
        if not thread.is_alive():
            break
    thread.join()
    assert done.is_set()
    assert slowest < max(2.0, 20 * calm)
    assert real.ask("bob", "run: echo well").strip() == "ran: well"
    real.shows("alice", ready=True)
    assert real.ask("alice", "run: echo well").strip() == "ran: well"
    assert "Traceback" not in real.complaints()
