"""Schemathesis tries what the description says on a real hive behind a real server: nothing fails, nothing lies."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from hyperhive.mcp.http import McpHttp
from hyperhive.web.app import build
from hyperhive.web.openapi import describe
from hyperhive.web.security import Security
from hyperhive.web.server import Server, bind, serve
from tests.running.conftest import Running, hive
from tests.web.conftest import BEARER, TOKEN

__all__ = ["hive"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
NEGATIVE: list[Any] = [*CHECKS, negative_data_rejection]
TRUE = ("1", "true")
DONE = frozenset({"audit", "message_sent", "draft_created", "approval_requested"})
"""Kinds that tell of something a request did."""
AnyCase = Case[Any]
LONG = (pytest.mark.long, pytest.mark.timeout(3_000))
Try = Callable[[AnyCase], None]


@dataclass(frozen=True)
class Door:
    """Where the hive answers, and its agents."""

    url: str
    names: tuple[str, ...]


@pytest.fixture
async def door(hive: Running) -> AsyncIterator[Door]:
    running, rig = hive
    mcp, bound = McpHttp(hive=running), bind("127.0.0.1", 0)
    port = bound.getsockname()[1]
    app = build(hive=running, security=Security(token=TOKEN, port=port), mcp_app=mcp.app)
    server = Server(app=app, stopping=[app.state.streams.close, mcp.stop])
    async with mcp.running():
        task = asyncio.create_task(serve(server, bound))
        await running.spawn("alice", by="operator")
        await asyncio.to_thread(rig.settled, "alice")
        with _heard():
            yield Door(f"http://127.0.0.1:{port}", ("manager", "alice"))
        server.should_exit = True
        async with asyncio.timeout(60):
            await task
    bound.close()


@contextlib.contextmanager
def _heard() -> Iterator[None]:
    """Have the doors' errors logged: the fuzzing looks for them, and the rig silences all of it."""
    doors = [logging.getLogger(f"hyperhive.{name}") for name in ("web", "mcp")]
    for door in doors:
        door.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for door in doors:
            door.setLevel(logging.NOTSET)


def _operations() -> list[APIOperation[Any, Any, Any, Any]]:
    config = schemathesis.Config.from_dict(
        {"generation": {"allow-extra-parameters": False, "with-security-parameters": False}}
    )
    schema = schemathesis.openapi.from_dict(describe(), config=config)
    return [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]


def _bounded(case: AnyCase) -> None:
    """Take what waits and what never ends out of a case: it would hold up the test, not the hive."""
    query: dict[str, Any] = dict(case.query or {})
    if query.get("follow") in TRUE or (case.path == "/api/events" and "follow" not in query):
        query["follow"] = "0"
    if isinstance(query.get("wait"), int) and 0 <= query["wait"] <= 300:
        query["wait"] = 0
    case.query = query


def _each(
    operation: APIOperation[Any, Any, Any, Any],
    mode: GenerationMode,
    examples: int,
    names: tuple[str, ...],
    one: Try,
) -> None:
    """Try an operation with so many cases, now and then about agents and things that exist."""
    real = st.sampled_from([{}, {}, *({"name": name} for name in names), {"id": 1}, {"id": 2}])

    @settings(
        max_examples=examples,
        derandomize=examples < 100,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), known=real)
    def tried(case: AnyCase, known: dict[str, Any]) -> None:
        given = dict(case.path_parameters or {})
        if mode is GenerationMode.POSITIVE:
            case.path_parameters = {key: known.get(key, value) for key, value in given.items()}
        _bounded(case)
        one(case)

    tried()


def _all(door: Door, mode: GenerationMode, examples: int, one: Try) -> None:
    for operation in _operations():
        with contextlib.suppress(Unsatisfiable):  # nothing about it can be invalid
            _each(operation, mode, examples, door.names, one)


@pytest.fixture(params=[pytest.param(4, id="few"), pytest.param(200, id="many", marks=LONG)])
def examples(request: pytest.FixtureRequest) -> int:
    """How many cases of each operation."""
    return int(request.param)


@pytest.mark.parametrize(
    ("mode", "checks"),
    [
        pytest.param(GenerationMode.POSITIVE, CHECKS, id="valid"),
        pytest.param(GenerationMode.NEGATIVE, NEGATIVE, id="invalid"),
    ],
)
async def test_whatever_the_operator_sends_is_answered_as_described(
    door: Door, mode: GenerationMode, checks: list[Any], examples: int, caplog: pytest.LogCaptureFixture
) -> None:
    def one(case: AnyCase) -> None:
        answer = case.call(base_url=door.url, headers=BEARER, timeout=60, allow_redirects=False)
        case.validate_response(answer, checks=checks)
        assert "Traceback" not in answer.text

    await asyncio.to_thread(_all, door, mode, examples, one)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_whatever_a_stranger_sends_is_refused_as_described(
    door: Door, hive: Running, examples: int
) -> None:
    before = await hive[0].events(kinds=DONE)

    def one(case: AnyCase) -> None:
        wrong = {"Authorization": f"Bearer {TOKEN[::-1]}"} if case.method == "GET" else {}
        answer = case.call(base_url=door.url, headers=wrong, timeout=60, allow_redirects=False)
        case.validate_response(answer, checks=CHECKS)
        free = case.operation.definition.raw.get("security") == []
        assert free or answer.status_code in (401, 303), (case.operation.label, answer.status_code)
        assert "set-cookie" not in answer.headers

    await asyncio.to_thread(_all, door, GenerationMode.POSITIVE, max(1, examples // 3), one)
    assert await hive[0].events(kinds=DONE) == before
