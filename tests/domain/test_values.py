"""Names, configs, bodies, envelopes, wire lines and outcomes: what may pass and what is refused, in one line."""

import json
import re
from datetime import UTC, datetime

import pytest

from hyperhive.domain.agent_config import DEFAULT, MAX_CONFIG, AgentConfig, parse
from hyperhive.domain.axes import Transient
from hyperhive.domain.events import MessageSent, Rebuilt, Stopped
from hyperhive.domain.messages import MAX_BODY, check_body
from hyperhive.domain.names import check_name
from hyperhive.domain.operations import outcome
from hyperhive.domain.recorded import envelope
from hyperhive.domain.turns import Outcome
from hyperhive.domain.wire import FROM_HARNESS, FROM_HOST, Ack, Hello, Interrupt, Numbered, TurnOver, Welcome
from hyperhive.errors import Invalid


@pytest.mark.parametrize("name", ["a", "manager", "a-b-9", "a" * 31])
def test_names_that_may_be(name: str) -> None:
    assert check_name(name) == name


HOSTILE = ["", "A", "9a", "-a", "a" * 32, "a/b", "..", "a\n", "a\0", "a b", "ä", "а", "a_b", "$(id)", "--all"]


@pytest.mark.parametrize("name", [*HOSTILE, "operator", "system", "hive", "all"])
def test_names_that_may_not_be(name: str) -> None:
    with pytest.raises(Invalid) as refusal:
        check_name(name)
    assert refusal.value.message.isascii()
    assert "\n" not in refusal.value.message


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("modle = 'x'", "modle: unknown key"),
        ("model = 7", "model"),
        ("model = '; rm'", "model"),
        ("restart = 'always'", "restart"),
        ("[limits]\nmemory = '4 GB'", "limits.memory"),
        ("[limits]\ncpus = 0", "limits.cpus"),
        ("[limits]\ncpu = 1", "limits.cpu: unknown key"),
        ("[bash]\nallow = 'git'", "bash.allow"),
        ("allowedRecipients = ['../x']", "allowedRecipients.0"),
        ("[extraMcpServers.hyperhive]\ncommand = 'x'", "extraMcpServers.hyperhive"),
        ("[extraMcpServers.w]\nargs = []", "extraMcpServers.w.command"),
        ("[notes]\ncompactAboveKiB = 0", "notes.compactAboveKiB"),
        ("model = ", "not TOML"),
        ("#" * (MAX_CONFIG + 1), "longer than"),
    ],
)
def test_a_config_is_refused_with_file_key_and_reason(text: str, key: str) -> None:
    with pytest.raises(Invalid, match=re.escape(f"agent.toml: {key}")) as refusal:
        parse(text)
    assert "\n" not in refusal.value.message


def test_the_first_config_is_the_default() -> None:
    assert parse(DEFAULT) == AgentConfig()


@pytest.mark.parametrize(
    ("body", "why"),
    [("", "needs a body"), (" \n", "needs a body"), ("a\0", "NUL"), ("\udc80", "surrogate")],
)
def test_a_body_that_cannot_be(body: str, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        check_body(body)


def test_a_bodys_limit_is_in_bytes() -> None:
    assert check_body("ü" * (MAX_BODY // 2))
    with pytest.raises(Invalid, match="65538 bytes, 65536 are allowed"):
        check_body("ü" * (MAX_BODY // 2 + 1))


def test_an_envelope_is_one_line_of_ascii_in_the_fixed_order() -> None:
    moment = datetime(2026, 1, 31, 12, 0, 0, 7999, tzinfo=UTC)
    text = envelope(3, moment, Rebuilt(agent="alice", ok=False, note="ü\n\u2028"))
    assert text.isascii()
    assert "\n" not in text
    assert list(json.loads(text)) == ["seq", "ts", "kind", "agent", "ok", "revision", "note"]
    assert json.loads(text)["ts"] == "2026-01-31T12:00:00.007Z"
    sent = MessageSent.model_validate({"id": 1, "from": "a", "to": "b", "agent": "a"})
    assert list(json.loads(envelope(1, moment, sent)))[4:] == ["id", "from", "to"]


LINES = [
    Hello(boot="b", version="1", turn=4),
    Numbered(n=1, report=TurnOver(turn=4, outcome=Outcome.DONE)),
    Welcome(agent="alice", role="agent", env={"A": "b"}),
    Ack(n=9),
    Interrupt(turn=2),
]


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_the_wire_comes_back_as_it_was(line: Hello) -> None:
    adapter = FROM_HARNESS if isinstance(line, Hello | Numbered) else FROM_HOST
    assert adapter.validate_json(line.model_dump_json()) == line


@pytest.mark.parametrize(
    ("kind", "ok", "kinds"),
    [
        (Transient.SPAWNING, True, ["spawned", "started"]),
        (Transient.SPAWNING, False, ["spawned"]),
        (Transient.STARTING, True, ["started"]),
        (Transient.STARTING, False, []),
        (Transient.STOPPING, True, ["stopped"]),
        (Transient.STOPPING, False, []),
        (Transient.RESTARTING, True, ["started"]),
        (Transient.REBUILDING, True, ["rebuilt"]),
        (Transient.REBUILDING, False, ["rebuilt"]),
        (Transient.DESTROYING, True, ["destroyed"]),
        (Transient.DESTROYING, False, []),
    ],
)
def test_what_an_operations_end_tells(kind: Transient, ok: bool, kinds: list[str]) -> None:
    told = outcome("alice", kind, ok=ok, note="n", by="operator", revision="r")
    assert [event.kind for event in told] == [*kinds, "transient_cleared"]
    assert all(event.agent == "alice" for event in told)
    assert [event.by for event in told if isinstance(event, Stopped)] in ([], ["operator"])
