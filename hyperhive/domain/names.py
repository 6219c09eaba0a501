"""Names of agents: one pattern, checked at every door before a name comes near a path."""

import re
from typing import Literal

from hyperhive.errors import Invalid

MANAGER = "manager"
OPERATOR = "operator"
SYSTEM = "system"
RESERVED = frozenset({OPERATOR, SYSTEM, "hive", "all"})

_PATTERN = re.compile(r"[a-z][a-z0-9-]{0,30}")
_NUMBER = re.compile(r"[0-9]+")


def natural(name: str) -> tuple[str, str]:
    """What sorts names as people do: ``agent-2`` before ``agent-10``."""
    return _NUMBER.sub(lambda found: found[0].zfill(31), name), name


def check_name(name: str) -> str:
    """Return ``name`` if it may name an agent.

    Raises:
        Invalid: with the rule that it breaks.
    """
    if not isinstance(name, str) or _PATTERN.fullmatch(name) is None:
        shown = ascii(name)[:60]
        raise Invalid(
            f"{shown} cannot name an agent: use 1 to 31 of a-z, 0-9 and '-', beginning with a letter.",
            code="bad-name",
        )
    if name in RESERVED:
        raise Invalid(f"'{name}' is reserved; choose another name.", code="reserved-name")
    return name


def role_of(name: str) -> Literal["manager", "agent"]:
    """The role that goes with a name."""
    return "manager" if name == MANAGER else "agent"
