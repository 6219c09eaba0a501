"""The words Claude is given: what is appended to its system prompt, and the prompt of a turn. Pure."""

from collections.abc import Sequence
from pathlib import Path

from hyperhive.domain.launch import Launch
from hyperhive.domain.names import SYSTEM
from hyperhive.domain.recorded import stamp
from hyperhive.domain.wire import Incoming

_TEMPLATE = Path(__file__).with_name("system_prompt.md")
_MANAGERS = Path(__file__).with_name("manager_prompt.md")

_CONTROLS = {*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)} - {ord("\t")}
_SHOWN = dict.fromkeys(_CONTROLS, "�")

_ROLES = {"manager": "the manager, who runs the fleet for the operator,", "agent": "an agent"}

_OWN = """\
# Your own part

What follows is from your config, which the operator approved. Where the two differ, what is above holds."""


def system_prompt(launch: Launch, *, peers: Sequence[str]) -> str:
    """What is appended to Claude Code's own system prompt for the agent of ``launch``."""
    others = ", ".join(f"`{peer}`" for peer in peers if peer != launch.agent) or "`operator`"
    words = {
        "{agent}": launch.agent,
        "{role}": _ROLES[launch.role],
        "{peers}": others,
        "{more}": _MANAGERS.read_text(encoding="utf-8") if launch.role == "manager" else "",
        "{state}": launch.state,
        "{agents}": launch.agents or "$HYPERHIVE_AGENTS",
    }
    text = _TEMPLATE.read_text(encoding="utf-8")
    for place, value in words.items():
        text = text.replace(place, value)
    own = launch.prompt.strip()
    return text.strip() + "\n" + (f"\n{_OWN}\n\n{own}\n" if own else "")


def turn_prompt(messages: Sequence[Incoming], *, peers: Sequence[str], notes_over: str = "") -> str:
    """The prompt of a turn: a block for each message, a line for each event of the system's.

    Every line of a body is quoted with ``> ``, so that no body can look like another message's header.

    Args:
        notes_over: a reminder about notes that grew too long, if they did.
    """
    count = len(messages)
    parts = [f"You have {count} new message{'' if count == 1 else 's'}."]
    if peers:
        parts.append(f"You can write to: {', '.join(peers)}.")
    parts += [_event(message) if message.sender == SYSTEM else _block(message) for message in messages]
    if notes_over:
        parts.append(notes_over)
    return "\n\n".join(parts)


def notes_reminder(path: Path, *, limit_kib: int) -> str:
    """A reminder to shorten the notes at ``path`` when they are longer than ``limit_kib``; else nothing."""
    try:
        size = path.stat().st_size
    except OSError:
        return ""
    if size <= limit_kib * 1024:
        return ""
    return (
        f"Your notes.md has {size // 1024} KiB; before you end this turn, shorten it to what still matters."
    )


def _block(message: Incoming) -> str:
    head = f"[message {message.id} from {message.sender} at {stamp(message.ts)}]"
    return "\n".join((head, *(f"> {line}" for line in _lines(message.body))))


def _event(message: Incoming) -> str:
    return f"[event {message.id} at {stamp(message.ts)}] {' '.join(_lines(message.body))}"


def _lines(text: str) -> list[str]:
    """Lines as any reader may break them; control characters that could redraw one are shown, not obeyed."""
    clean = text.encode(errors="replace").decode()
    return [line.translate(_SHOWN) for line in clean.splitlines()] or [""]
