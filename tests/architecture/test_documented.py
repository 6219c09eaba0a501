"""What there is stands in the docs: commands, options, routes, events, tools, settings, errors' words."""

import re
from collections.abc import Iterator
from dataclasses import fields
from typing import get_args

import pytest
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from hyperhive.cli.table import COMMANDS, Command
from hyperhive.domain.events import AnyEvent, HelperEvent
from hyperhive.domain.recorded import TOLD_TO_MANAGER
from hyperhive.mcp.agent import agent_server
from hyperhive.mcp.manager import manager_server, operator_server
from hyperhive.settings import Settings
from hyperhive.web.app import build, build_host
from hyperhive.web.security import Security
from tests.architecture.source import ROOT
from tests.fakes.hive import FakeHive
from tests.fakes.samples import snapshot


def _page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_stands_in_operate(command: Command) -> None:
    page = _page("operate.md")
    assert f"`hyperhive {' '.join([command.name, *command.args])}" in page
    for option in command.options:
        assert f"`{option.name}" in page, option.name


@pytest.mark.parametrize("name", [setting.name for setting in fields(Settings)])
def test_every_setting_stands_in_operate(name: str) -> None:
    assert f"| `{name}` " in _page("operate.md")


def _events() -> tuple[type[HelperEvent], ...]:
    union, _ = get_args(AnyEvent)
    return get_args(union)


@pytest.mark.parametrize("event", _events(), ids=lambda event: event.model_fields["kind"].default)
def test_every_event_stands_in_events_with_its_fields(event: type[HelperEvent]) -> None:
    kind = event.model_fields["kind"].default
    row = next((row for row in _page("events.md").splitlines() if row.startswith(f"| `{kind}` ")), None)
    assert row is not None, f"docs/events.md has no row for {kind}"
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    fields = [f.serialization_alias or n for n, f in event.model_fields.items() if n not in ("kind", "agent")]
    assert re.findall(r"`(\w+)`", cells[1]) == fields
    assert (cells[2] == "yes") == (kind in TOLD_TO_MANAGER)


def _routes(found: list[BaseRoute]) -> Iterator[str]:
    for route in found:
        if isinstance(route, Route | WebSocketRoute | Mount):
            yield route.path


def _paths() -> list[str]:
    hive, security = FakeHive(snapshot("manager")), Security(token="t" * 43, port=7000)
    apps = (build(hive=hive, security=security), build_host(hive=hive, security=security))
    return sorted({path for app in apps for path in _routes(list(app.routes))})


@pytest.mark.parametrize("path", _paths())
def test_every_route_stands_in_http(path: str) -> None:
    plain = re.sub(r":\w+}", "}", path)
    assert any(_names(line, plain) for line in _page("http.md").splitlines())


def _names(line: str, path: str) -> bool:
    """Whether a line names a route: whole, or as ``/a/b`` · ``c`` beside a sibling of it."""
    parent, _, last = path.rpartition("/")
    whole = re.search(rf"[ `]{re.escape(path)}[`? ]", line)
    return bool(whole) or (len(parent) > len("/api") and f" {parent}/" in line and f"`{last}`" in line)


async def test_every_tool_stands_in_mcp() -> None:
    hive = FakeHive(snapshot("manager", "alice"))
    servers = (agent_server(hive=hive, name="alice"), manager_server(hive=hive), operator_server(hive=hive))
    found = {tool.name for server in servers for tool in await server.list_tools()}
    assert {"send", "recv", "list_agents"} <= found
    assert [name for name in sorted(found) if f"| `{name}` |" not in _page("mcp.md")] == []


def test_the_docs_hold_no_dead_links() -> None:
    dead = []
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text()):
            if not (page.parent / target).exists():
                dead.append(f"{page.name}: {target}")
    assert dead == []
