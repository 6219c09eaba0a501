"""An agent's life through every door: the HTTP API, the command line, and the manager's own Claude."""

import json
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.hive import RealHive, hive, in_order

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

Operate = Callable[[RealHive, str, str], None]


@pytest.fixture(scope="module")
def real() -> Iterator[RealHive]:
    with hive(env={"HYPERHIVE_TICK": "1"}) as made:
        made.up()
        yield made


def over_http(real: RealHive, action: str, name: str) -> None:
    answer = real.post(f"/api/agents/{name}/{action}?wait=60")
    assert answer["ok"], answer


def over_cli(real: RealHive, action: str, name: str) -> None:
    told = json.loads(real.cli(action, name, "--json"))
    assert told["ok"] is not False, told


def by_the_manager(real: RealHive, action: str, name: str) -> None:
    said = real.ask("manager", f"manage {action} {name}")
    assert '"ok":true' in said.replace(" ", "").replace("\\", ""), said


DOORS = {
    "anna": (over_http, "operator"),
    "berta": (over_cli, "operator"),
    "carla": (by_the_manager, "manager"),
}


@pytest.mark.parametrize("name", DOORS)
def test_every_door_stops_starts_restarts_and_rebuilds(real: RealHive, name: str) -> None:
    operate, who = DOORS[name]
    real.spawn(name)
    first, after, newest = real.leader(name), real.seq, real.newest()
    operate(real, "stop", name)
    assert first.ended()
    assert real.agent(name).items() >= {"container": "stopped", "pid": None, "transient": None}.items()
    real.send(name, "run: echo late")
    operate(real, "start", name)
    assert real.word(name, after=newest).strip() == "ran: late"
    real.quiet(name)
    second = real.leader(name)
    operate(real, "restart", name)
    assert second.ended()
    real.change(name)
    operate(real, "update", name)
    assert real.agent(name)["model"] == "haiku"
    events = [e for e in real.events(after) if e["agent"] == name]
    assert in_order(
        events,
        {"kind": "transient_set", "transient": "stopping"},
        {"kind": "stopped", "by": who},
        {"kind": "transient_cleared"},
        {"kind": "transient_set", "transient": "starting"},
        {"kind": "started"},
        {"kind": "transient_set", "transient": "restarting"},
        {"kind": "transient_set", "transient": "rebuilding"},
        {"kind": "rebuilt", "ok": True},
        {"kind": "transient_cleared"},
    )
    assert "container_crash" not in [e["kind"] for e in events]
    assert len(real.harnesses(name)) == 1


@pytest.mark.parametrize("operate", [over_http, over_cli])
def test_a_paused_agent_takes_no_mail_until_it_is_resumed(real: RealHive, operate: Operate) -> None:
    name = f"paused-{operate.__name__[-3:]}".replace("_", "")
    real.spawn(name)
    newest, after = real.newest(), real.seq
    operate(real, "pause", name)
    real.send(name, "run: echo resumed")
    assert real.agent(name).items() >= {"paused": True, "inbox_depth": 1}.items()
    operate(real, "resume", name)
    assert real.word(name, after=newest).strip() == "ran: resumed"
    kinds = [e["kind"] for e in real.events(after) if e["agent"] == name]
    assert kinds.index("paused") < kinds.index("resumed") < kinds.index("turn_started")


def test_a_destroyed_agent_leaves_its_folders_but_no_mail_for_its_successor(real: RealHive) -> None:
    real.spawn("dora")
    real.ask("dora", "run: echo kept > kept; echo done")
    real.post("/api/agents/dora/pause")
    real.send("dora", "run: echo old mail")
    first, after = real.leader("dora"), real.seq
    real.cli("destroy", "dora")
    assert first.ended()
    assert real.agent("dora") == {}
    assert [kept["name"] for kept in real.state()["kept"]] == ["dora"]
    assert not (real.run / "agents" / "dora" / "hive.sock").exists()
    newest = real.newest()
    real.cli("spawn", "dora")
    assert real.agent("dora")["inbox_depth"] == 0
    assert real.ask("dora", "run: cat kept").strip() == "ran: kept"
    assert not [m for m in real.messages() if m["id"] > newest and "old mail" in m["body"]]
    assert in_order(
        real.events(after), {"kind": "destroyed", "agent": "dora"}, {"kind": "spawned", "ok": True}
    )

    after = real.seq
    real.http.delete("/api/agents/dora?purge=1").raise_for_status()
    real.wait("destroyed", after=after, agent="dora")
    assert not real.folder("dora").exists()
    assert real.state()["kept"] == []


def test_a_refused_login_parks_the_agent_until_it_has_a_new_one(real: RealHive) -> None:
    real.spawn("edda")
    after, newest = real.seq, real.newest()
    id = real.send("edda", "fail 401")
    real.wait("needs_login", after=after, agent="edda")
    real.shows("edda", login="needs-login", inbox_depth=1)
    assert real.rows("SELECT state FROM messages WHERE id = ?", id) == [("unread",)]
    real.wait("logged_in", after=after, agent="edda")
    assert real.word("edda", after=newest) == "The login works again."
    real.shows("edda", login="logged-in", inbox_depth=0)
    kinds = [e["kind"] for e in real.events(after) if e["agent"] == "edda"]
    assert (kinds.count("needs_login"), kinds.count("logged_in")) == (1, 1)


def test_a_rate_limit_parks_the_turn_which_goes_on_by_itself(real: RealHive) -> None:
    real.spawn("frida")
    newest = real.newest()
    real.send("frida", "fail 429")
    real.until(lambda: real.agent("frida")["turn"]["state"] == "rate-limited")
    assert real.word("frida", after=newest) == "The rate limit is over."
    real.quiet("frida")
