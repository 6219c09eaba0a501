"""What is recorded of an agent's MCP servers that did not start: a warning each, told when it is new. Pure."""

import re
from collections.abc import Collection, Mapping

MAX_WHY = 300
"""Characters of a reason."""

_WARNING = re.compile(r"MCP server ([A-Za-z][A-Za-z0-9_-]*) did not start: ")


def settle(
    warnings: tuple[str, ...], failed: Mapping[str, str], *, known: Collection[str]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Take a report of the harness.

    Args:
        warnings: what is recorded of the agent.
        failed: servers that did not start, each with why; whatever the harness says of others is left out.
        known: the servers of the agent's config.

    Returns:
        The warnings from now on, and the servers that none of the former ones was about, each with why.
    """
    before = {found[1] for text in warnings if (found := _WARNING.match(text)) is not None}
    others = tuple(text for text in warnings if _WARNING.match(text) is None)
    now = {name: _plain(failed[name]) for name in sorted(known) if name in failed}
    told = tuple(f"MCP server {name} did not start: {why}." for name, why in now.items())
    return others + told, {name: why for name, why in now.items() if name not in before}


def _plain(why: str) -> str:
    """A reason as a line of text without its full stop."""
    line = " ".join(why.encode(errors="replace").decode().split())
    return (
        "".join(char if char.isprintable() else "�" for char in line)[:MAX_WHY].rstrip(". ")
        or "no reason given"
    )
