"""Scenario files: what the scripted model says and does, in TOML that a person reads and writes.

``docs/rehearsal.md`` is their manual. A file is checked whole when it is loaded, so that a running hive never
stumbles over one.
"""

import re
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, ValidationError

from hyperhive.domain.names import MANAGER
from hyperhive.domain.value import Value
from hyperhive.errors import Invalid

MAX_SCENARIO = 256 * 1024
"""Bytes of one scenario file."""
MAX_REPEAT = 20
"""How often one step may be repeated."""

BUILTIN = "first-hive.toml"
PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([A-Za-z_]\w*|\d+)\}")
GIVEN = frozenset({"agent", "role", "peers", "from", "id", "time", "body", "line", "n"})
"""Placeholders that every rule has."""


def _regex(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


Regex = Annotated[str, AfterValidator(_regex)]
_Key = Annotated[str, Field(pattern=r"^[A-Za-z_]\w{0,31}$")]
_Seconds = Annotated[float, Field(ge=0, le=3600)]


class _Step(Value):
    """What all steps share. ``if``, ``unless``: texts; the step runs when one is not, the other is empty."""

    given: str | None = Field(default=None, alias="if")
    unless: str | None = None

    def texts(self) -> Iterator[str]:
        """Every text of the step that may hold placeholders."""
        yield from (text for text in (self.given, self.unless) if text is not None)


class Say(_Step):
    """Text. ``pace``: seconds between its pieces; ``cut``: the stream breaks off half-way through it."""

    say: str = Field(max_length=64 * 1024)
    pace: _Seconds | None = None
    cut: bool = False

    def texts(self) -> Iterator[str]:
        yield from super().texts()
        yield self.say


class Use(_Step):
    """A tool call; the answer ends with it. ``keep`` names its result, ``find`` picks parts of it."""

    use: str = Field(pattern=r"^[A-Za-z][\w-]{0,127}$")
    input: dict[str, Any] = Field(default={})
    keep: _Key | None = None
    find: dict[_Key, Regex] = Field(default={})
    repeat: int | str = 1

    def texts(self) -> Iterator[str]:
        yield from super().texts()
        yield from _strings(self.input)
        if isinstance(self.repeat, str):
            yield self.repeat


class Fail(_Step):
    """An API error. ``seconds``: so long from its first time on, then the steps go on; absent: for ever."""

    error: int = Field(ge=400, le=599)
    type: str | None = None
    message: str | None = None
    retry_after: Annotated[int, Field(ge=0, le=86_400)] | None = None
    seconds: _Seconds | None = None


class Wait(_Step):
    """Silence but for pings, seconds."""

    wait: _Seconds


class Hang(_Step):
    """Full silence for so many seconds; then the connection is closed."""

    hang: _Seconds


def _strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for part in value.values():
                yield from _strings(part)
        case list() | tuple():
            for part in value:
                yield from _strings(part)


_KINDS = {"say": Say, "use": Use, "error": Fail, "wait": Wait, "hang": Hang}


def _kind(value: Any) -> str | None:
    if isinstance(value, _Step):
        return next(name for name, kind in _KINDS.items() if isinstance(value, kind))
    named = [name for name in _KINDS if isinstance(value, dict) and name in value]
    return named[0] if len(named) == 1 else None


Step = Annotated[
    Annotated[Say, Tag("say")]
    | Annotated[Use, Tag("use")]
    | Annotated[Fail, Tag("error")]
    | Annotated[Wait, Tag("wait")]
    | Annotated[Hang, Tag("hang")],
    Discriminator(
        _kind,
        custom_error_type="step",
        custom_error_message="a step has exactly one of: say, use, error, wait, hang",
    ),
]


class Rule(Value):
    """Which message it is about, and what then happens, step by step.

    Args:
        who: a glob over the agent's name.
        role: only the manager, or only the others; absent: both.
        sender: ``from`` in the file, a glob over the message's sender.
        matches: a regex that must be found in the body; its groups become placeholders.
        once: of several messages of one turn that it matches, only the first counts.
    """

    name: str = ""
    who: str = "*"
    role: Literal["manager", "agent"] | None = None
    sender: str = Field(default="*", alias="from")
    matches: Regex = ""
    once: bool = False
    steps: tuple[Step, ...] = Field(alias="step", min_length=1, max_length=200)

    def match(self, *, agent: str, sender: str, body: str) -> re.Match[str] | None:
        """The match of the body when the rule is about this message."""
        role = "manager" if agent == MANAGER else "agent"
        if self.role not in (None, role) or not fnmatchcase(agent, self.who):
            return None
        return re.search(self.matches, body) if fnmatchcase(sender, self.sender) else None

    def unknown_placeholder(self) -> tuple[int, str] | None:
        """Number of the step and name of a placeholder that nothing before it sets."""
        pattern = re.compile(self.matches)
        known = GIVEN | set(pattern.groupindex) | {str(n) for n in range(pattern.groups + 1)}
        for number, step in enumerate(self.steps, 1):
            for text in step.texts():
                for found in PLACEHOLDER.finditer(text):
                    if found[1] is not None and found[1] not in known:
                        return number, found[1]
            if isinstance(step, Use):
                known = known | set(step.find) | ({step.keep} if step.keep else set())
        return None


class Scenario(Value):
    """A whole file. ``pace``: seconds between two pieces of a streamed answer."""

    title: str = ""
    pace: Annotated[float, Field(ge=0, le=5)] = 0.02
    rules: tuple[Rule, ...] = Field(default=(), alias="rule", max_length=500)


def parse(text: str, *, file: str) -> Scenario:
    """Read a scenario.

    Args:
        text: the file's content.
        file: its name, for the refusal.

    Raises:
        Invalid: one line with file, rule and reason.
    """
    if len(text.encode(errors="surrogatepass")) > MAX_SCENARIO:
        raise Invalid(f"{file}: longer than {MAX_SCENARIO} bytes.", code="bad-scenario")
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{file}: not TOML: {error}.", code="bad-scenario") from None
    try:
        scenario = Scenario.model_validate(values)
    except ValidationError as error:
        raise Invalid(f"{file}: {_reason(error, values)}.", code="bad-scenario") from None
    for number, rule in enumerate(scenario.rules, 1):
        if (unknown := rule.unknown_placeholder()) is not None:
            step, name = unknown
            raise Invalid(
                f"{file}: {_titled(number, rule.name)}, step {step}: nothing before it sets {{{name}}}; "
                "write {{ for a plain brace.",
                code="bad-scenario",
            )
    return scenario


def load(path: Path) -> Scenario:
    """Read a scenario file.

    Raises:
        Invalid: it cannot be read, or as ``parse``.
    """
    try:
        return parse(path.read_text(encoding="utf-8"), file=path.name)
    except OSError as error:
        raise Invalid(f"{path}: cannot be read: {error.strerror}.", code="bad-scenario") from None
    except UnicodeDecodeError:
        raise Invalid(f"{path}: not UTF-8.", code="bad-scenario") from None


def builtin() -> Scenario:
    """The scenario that shows the main job."""
    text = files("hyperhive.rehearsal").joinpath("scenarios", BUILTIN).read_text(encoding="utf-8")
    return parse(text, file=BUILTIN)


def _titled(number: int, name: object) -> str:
    return f'rule {number} "{name}"' if name else f"rule {number}"


def _reason(error: ValidationError, values: dict[str, Any]) -> str:
    """``rule 2 "name", step 3, pace: reason`` of the first mistake."""
    first = error.errors(include_url=False)[0]
    loc = list(first["loc"])
    where: list[str] = []
    if loc[:1] == ["rule"] and len(loc) > 1:
        number = int(loc[1])
        raw = values["rule"][number]
        where.append(_titled(number + 1, raw.get("name") if isinstance(raw, dict) else None))
        loc = loc[2:]
        if loc[:1] == ["step"] and len(loc) > 1:
            where.append(f"step {int(loc[1]) + 1}")
            loc = loc[3:]
    where.extend(str(part) for part in loc)
    unknown = first["type"] == "extra_forbidden"
    reason = "unknown key" if unknown else first["msg"].removeprefix("Value error, ")
    return f"{', '.join(where) or '(file)'}: {reason}"
