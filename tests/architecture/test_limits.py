"""``docs/limits.md`` says what holds: its numbers are the constants', its tests exist, and no bound is missing."""

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.source import ROOT

PAGE = ROOT / "docs" / "limits.md"
UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "s": 1, "days": 86_400}
NUMBER = re.compile(r"(\d[\d,]*)(?: (KiB|MiB|GiB|s|days)\b)?")
BOUND = re.compile(r"(MAX|MOST|KEPT|SENT)(_|$)")
"""How a bound that others meet is called; what begins with ``_`` is a part of one, or of what is ours."""

INNER = {
    "actors.agent.MAX_STASH": "what an actor that is being read keeps; its address is bounded alike",
    "actors.allowance.MOST": "memory of the allowances themselves",
    "actors.broker.MAX_GATHERED": "the size of a batch",
    "actors.crew.MAX_HANDS": "threads that actors share",
    "actors.store.MAX_BATCH": "the size of a batch",
    "archive.walk.MOST_NAMED": "how many a refusal names",
    "claude_code.MAX_CACHED": "versions of the operator's own binaries",
    "domain.mcp_servers.MAX_WHY": "how long a reason is told",
    "harness.outcome.MAX_NOTE": "how long a note is told",
    "harness.pump.MAX_HELD": "of the agent's own process, within its container's memory",
    "harness.transport.MAX_MESSAGE": "of the agent's own process, within its container's memory",
    "harness.turn.MAX_NOTE": "how long a note is told",
    "home.MAX_SOCKET_PATH": "the kernel's",
    "link.session.MAX_EARLY": "what the hive itself says before its welcome",
    "link.lines.MAX_NUMBER": "how far is counted",
    "mcp.proposals.MAX_DECIDED": "what one answer lists",
    "mcp.resources.MAX_EVENTS": "what one answer lists",
    "mcp.sockets.MAX_PATH": "the kernel's",
    "rehearsal.engine.MAX_VALUE": "how much of a result a script keeps",
    "repos.git.MAX_OUTPUT": "what is read of a git that a bound on the page holds",
    "repos.quarantine.MAX_PACK_FILES": "part of the packs on the page",
    "running.asking.MAX_NOTE": "how long a note is told",
    "store.items.MAX_TYPE": "how long a word is told",
    "web.compiled.MAX_COMPILED": "a file of our own",
    "web.described.MOST_WAIT": "the same as agents_api.LONGEST_WAIT",
}
"""Bounds that stand for themselves: of what is ours, or part of one that is on the page."""


@dataclass(frozen=True)
class Row:
    what: str
    limit: str
    beyond: str
    constants: tuple[str, ...]
    test: str


def rows() -> Iterator[Row]:
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and not line.startswith("| what |"):
            what, limit, beyond, constants, test = cells
            yield Row(what, limit, beyond, tuple(re.findall(r"`([^`]+)`", constants)), test.strip("`"))


def value(constant: str) -> float:
    """The number a constant holds: ``room.module.NAME``, an attribute of it, or an entry (``NAME[key]``)."""
    path, _, key = constant.removesuffix("]").partition("[")
    parts = path.split(".")
    files = (Path(ROOT, "hyperhive", *parts[:number]).with_suffix(".py") for number in range(1, len(parts)))
    depth = next(number for number, file in enumerate(files, 1) if file.is_file())
    found: Any = importlib.import_module(".".join(["hyperhive", *parts[:depth]]))
    for part in parts[depth:]:
        found = getattr(found, part)
    found = found[key] if key else found
    return found.total_seconds() if isinstance(found, timedelta) else float(found)


def numbers(limit: str) -> list[float]:
    """``16 MiB, 60 s`` as bytes and seconds."""
    return [float(digits.replace(",", "")) * UNITS.get(unit, 1) for digits, unit in NUMBER.findall(limit)]


@pytest.mark.parametrize("row", list(rows()), ids=lambda row: row.what[:60])
def test_the_page_says_what_holds(row: Row) -> None:
    assert numbers(row.limit) == [value(constant) for constant in row.constants]
    file, _, name = row.test.partition("::")
    assert re.search(rf"def {name}\(", (ROOT / file).read_text()), row.test


def _constants() -> Iterator[str]:
    for file in sorted((ROOT / "hyperhive").rglob("*.py")):
        module = ".".join(file.relative_to(ROOT / "hyperhive").with_suffix("").parts)
        for node in ast.parse(file.read_text()).body:
            targets = node.targets if isinstance(node, ast.Assign) else []
            for target in targets:
                found = target.elts if isinstance(target, ast.Tuple) else [target]
                yield from (f"{module}.{each.id}" for each in found if isinstance(each, ast.Name))


def test_every_bound_stands_on_the_page() -> None:
    page = PAGE.read_text()
    bounds = [name for name in _constants() if BOUND.match(name.rpartition(".")[2])]
    bounds = [name for name in bounds if not name.startswith(("cli.", "dump."))]
    missing = [name for name in bounds if f"`{name}" not in page and name not in INNER]
    assert missing == []


def test_the_codes_on_the_page_are_those_of_refusals() -> None:
    source = "".join(file.read_text() for file in (ROOT / "hyperhive").rglob("*.py"))
    codes = {code for row in rows() for code in re.findall(r"`([a-z]+(?:-[a-z]+)+)`", row.beyond)}
    assert codes
    assert [code for code in sorted(codes) if f'"{code}"' not in source] == []
