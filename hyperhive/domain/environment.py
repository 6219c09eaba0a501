"""A file of environment variables: ``KEY=value`` lines of the operator's, for Claude and what it starts. Pure."""

import re

from hyperhive.errors import Invalid

MAX_ENVIRONMENT = 64 * 1024
"""Bytes of one file."""

FORBIDDEN = frozenset(
    {"PATH", "HOME", "PWD", "NODE_OPTIONS", "CLAUDE_CONFIG_DIR", "IS_SANDBOX", "BASH_ENV", "ENV", "SHELLOPTS"}
)
"""Names that decide how the container's programs run; the hive sets them or nobody does."""
FORBIDDEN_PREFIXES = ("LD_", "PYTHON", "HYPERHIVE_")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_ESCAPE = re.compile(r'\\(["\\$`])')
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"')
_SINGLE = re.compile(r"'([^']*)'")


def forbidden(name: str) -> bool:
    """Whether an environment file may not set the variable ``name``."""
    return name.upper() in FORBIDDEN or name.upper().startswith(FORBIDDEN_PREFIXES)


def parse(text: str, *, file: str = "environment") -> dict[str, str]:
    """The variables of a file: ``KEY=value`` lines; empty lines and those that begin with ``#`` are none.

    A value goes to the end of its line without the space around it. In single quotes it is taken as written, in
    double quotes ``\\"``, ``\\\\``, ``\\$`` and ``\\``` stand for the second character. No variable is expanded.

    Args:
        text: the file's content.
        file: its name, for the refusal.

    Raises:
        Invalid: with file, line and reason; a value is never repeated.
    """
    if len(text.encode(errors="replace")) > MAX_ENVIRONMENT:
        raise Invalid(f"{file}: longer than {MAX_ENVIRONMENT} bytes.", code="bad-environment")
    found: dict[str, str] = {}
    lines = (line.strip() for line in text.split("\n"))
    for number, line in enumerate(lines, start=1):
        if not line or line.startswith("#"):
            continue
        try:
            name, value = _variable(line)
            if name in found:
                raise ValueError(f"{name} is set a second time")
        except ValueError as reason:
            raise Invalid(f"{file}: line {number}: {reason}.", code="bad-environment") from None
        found[name] = value
    return found


def _variable(line: str) -> tuple[str, str]:
    name, equals, value = line.partition("=")
    name = name.rstrip()
    if not equals:
        raise ValueError("not KEY=value")
    if name.startswith("export ") and _NAME.fullmatch(name[7:].strip()):
        raise ValueError("write it without export")
    if not _NAME.fullmatch(name):
        raise ValueError("a name is made of letters, digits and _")
    if forbidden(name):
        raise ValueError(f"{name} cannot be set here")
    value = _value(value.strip())
    if any(not char.isprintable() and char != "\t" for char in value):
        raise ValueError(f"{name} holds a control character")
    return name, value


def _value(text: str) -> str:
    if not text.startswith(("'", '"')):
        if " #" in text or "\t#" in text:
            raise ValueError(
                "put a value that holds a # after a space in quotes, and comments on their own lines"
            )
        return text
    quoted = (_DOUBLE if text[0] == '"' else _SINGLE).fullmatch(text)
    if quoted is None:
        raise ValueError("the quotes must close at the end of the line")
    return _ESCAPE.sub(r"\1", quoted[1]) if text[0] == '"' else quoted[1]
