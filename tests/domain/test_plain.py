"""Plain values: their one form as JSON, which a model reads and describes as it would its own."""

import json
import pickle
from collections import OrderedDict
from copy import copy, deepcopy
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime
from math import isfinite
from signal import Signals
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from hyperhive.domain.axes import Axes
from hyperhive.domain.messages import Message
from hyperhive.domain.plain import Plain, as_json, as_plain
from hyperhive.domain.turns import TurnItem, TurnState, TurnUsage
from hyperhive.domain.views import DraftView, HiveSnapshot, KeptView, MessageView
from tests.fakes.samples import NOON, agent_view, busy_snapshot, generation_view

ODD = ["plain", 'o"dd\\\n\x00\x7f</script>', "ü\u2028\u0085😀"]
MOMENT = datetime(2026, 1, 31, 12, 0, 0, 7999, tzinfo=UTC)


def told() -> list[Plain]:
    message: dict[str, Any] = {"id": 7, "sender": "bob", "to": "operator", "ts": MOMENT}
    return [
        busy_snapshot(12),
        generation_view(3),
        *(MessageView(body=body, state="unread", **message) for body in ODD),
        Message(body="Hi", turn=3, **message),
        TurnItem(turn=3, ts=NOON, type="tool_use", data={"tool": "Bash", "rounds": [1, None, 2.5]}),
        TurnUsage(input_tokens=2**40, cost_usd=0.1),
    ]


@pytest.mark.parametrize("value", told(), ids=lambda value: type(value).__name__)
def test_what_is_told_is_what_a_model_would_tell_and_reads(value: Plain) -> None:
    adapter = TypeAdapter(type(value))
    assert as_plain(value) == adapter.dump_python(value, mode="json", by_alias=True)
    assert list(as_plain(value)) == list(adapter.dump_python(value, mode="json", by_alias=True))
    assert adapter.validate_json(as_json(value)) == value


@pytest.mark.parametrize("odd", [*ODD, "\ud800"])
def test_it_is_one_line_of_ascii_whatever_stands_in_it(odd: str) -> None:
    text = as_json({"messages": (MessageView(id=1, sender="a", to="b", body=odd, ts=NOON, state="read"),)})
    assert text.isascii()
    assert text.isprintable()
    (message,) = json.loads(text)["messages"]
    assert (message["from"], message["body"], message["ts"]) == ("a", odd, "2026-01-31T12:00:00Z")


def test_a_model_refuses_a_field_that_it_does_not_have() -> None:
    given = as_plain(MessageView(id=1, sender="a", to="b", body="", ts=NOON, state="read"))
    with pytest.raises(ValidationError, match="more"):
        TypeAdapter(MessageView).validate_python({**given, "more": 1})


def test_it_stays_as_it_was_made() -> None:
    usage = TurnUsage()
    with pytest.raises(FrozenInstanceError):
        usage.input_tokens = 1  # type: ignore[misc]
    assert not hasattr(usage, "__dict__")


def test_what_was_told_is_told_anew_when_it_has_changed() -> None:
    agent = agent_view("alice")
    before = as_json(agent)
    assert as_json(agent) == before
    later = replace(agent, inbox_depth=3, turn=replace(agent.turn, note="busy"))
    assert as_plain(later) == {**json.loads(before), "inbox_depth": 3, "turn": as_plain(later.turn)}
    assert agent_view("alice") == agent
    assert as_json(agent) == before


@pytest.mark.parametrize("number", [0.1, -0.0, 1e22, 5e-324, float("nan"), float("inf"), float("-inf")])
def test_a_number_is_one_that_every_reader_of_json_reads(number: float) -> None:
    usage = TurnUsage(cost_usd=number)
    told = json.loads(as_json(usage), parse_constant=pytest.fail)["cost_usd"]
    assert told == (number if isfinite(number) else None)
    assert told == json.loads(TypeAdapter(TurnUsage).dump_json(usage))["cost_usd"]


def test_a_kind_of_a_plain_type_is_told_as_that_type() -> None:
    told: list[object] = [Signals.SIGTERM, TurnState.IDLE, OrderedDict(a=True)]
    assert as_plain(told) == [15, "idle", {"a": True}]


def test_a_value_is_copied_without_the_text_that_it_was_told_as() -> None:
    agent = agent_view("alice")
    text = as_json(agent)
    for other in (copy(agent), deepcopy(agent), pickle.loads(pickle.dumps(agent))):
        assert (other, as_json(other), hash(other), repr(other)) == (agent, text, hash(agent), repr(agent))


@pytest.mark.parametrize(("inside", "kind"), [({"a"}, "set"), (Axes(), "Axes")])
def test_what_is_no_value_is_not_told(inside: object, kind: str) -> None:
    with pytest.raises(TypeError, match=f"{kind} is nothing that is told"):
        as_json({"names": inside})


def test_values_are_equal_by_their_fields_and_within_their_class() -> None:
    agent = agent_view("alice")
    assert agent == replace(agent)
    assert agent != replace(agent, pid=7)
    assert KeptView(name="a", since=NOON) != DraftView(name="a", created=NOON, by="operator")
    assert {agent: 1}[replace(agent)] == 1


def test_no_class_is_given_an_equality_of_its_own() -> None:
    def below(kind: type[Plain]) -> list[type[Plain]]:
        return [each for one in kind.__subclasses__() for each in (one, *below(one))]

    kinds = below(Plain)
    assert {HiveSnapshot, Message, TurnItem} <= set(kinds)
    assert not [kind.__name__ for kind in kinds if "__eq__" in vars(kind)]
