"""From words to a command and its arguments. By hand: argparse would double the time a command takes."""

from collections.abc import Iterator
from typing import NamedTuple

from hyperhive.cli.errors import Usage
from hyperhive.cli.table import BY_NAME, Command, Option


class Args(NamedTuple):
    """What was typed: words by their name in lower case, options by theirs, switches as ``True``."""

    command: Command
    words: dict[str, str]
    options: dict[str, str | bool]

    def word(self, name: str) -> str:
        """A positional argument that must be there."""
        return self.words[name]

    def on(self, key: str) -> bool:
        """Whether a switch was given."""
        return bool(self.options.get(key))

    def text(self, key: str) -> str | None:
        """An option's value."""
        value = self.options.get(key)
        return value if isinstance(value, str) else None

    def number(self, key: str, highest: int = 2**53, *, lowest: int = 0) -> int | None:
        """An option's value as a whole number from ``lowest`` to ``highest``.

        Raises:
            Usage: it is none.
        """
        value = self.text(key)
        return None if value is None else whole(value, f"--{key.replace('_', '-')}", highest, lowest=lowest)


def whole(text: str, what: str, highest: int = 2**53, *, lowest: int = 0) -> int:
    """``text`` as a whole number.

    Raises:
        Usage: it is none from ``lowest`` to ``highest``.
    """
    if not (text.isascii() and text.isdigit()) or len(text) > 16 or not lowest <= int(text) <= highest:
        span = f" from {lowest} to {highest}" if highest < 2**53 else ""
        raise Usage(f"{what} wants a whole number{span}, not '{text[:40]}'.")
    return int(text)


def parse(argv: list[str]) -> Args:
    """The command and its arguments.

    Raises:
        Usage: with the line that says what is wrong and how the command is typed.
    """
    name, rest = argv[0], argv[1:]
    command = BY_NAME.get(name)
    if command is None:
        raise Usage(f"There is no command '{name}'.{_closest(name, list(BY_NAME))} See 'hyperhive help'.")
    if "--help" in _before_dashes(rest) or "-h" in _before_dashes(rest):
        return Args(BY_NAME["help"], {"command": name}, {})
    try:
        return _arguments(command, rest)
    except Usage as wrong:
        raise Usage(f"{wrong.message} Usage: {command.usage}") from None


def _before_dashes(words: list[str]) -> list[str]:
    return words[: words.index("--")] if "--" in words else words


def _arguments(command: Command, rest: list[str]) -> Args:
    positional: list[str] = []
    options: dict[str, str | bool] = {}
    words = iter(rest)
    for word in words:
        if word == "--":
            positional.extend(words)
        elif word.startswith("-") and word != "-":
            key, value = _option(command, word, words)
            options[key] = value
        else:
            positional.append(word)
    return Args(command, _named(command, positional, every=bool(options.get("all"))), options)


def _option(command: Command, word: str, words: Iterator[str]) -> tuple[str, str | bool]:
    name, equals, value = word.partition("=")
    option = next((known for known in command.options if known.name == name), None)
    if option is None:
        close = _closest(name, [known.name for known in command.options])
        raise Usage(
            f"'{command.name}' has no option '{name}'.{close} A text that begins with '-' goes behind '--'."
        )
    if not option.value:
        if equals:
            raise Usage(f"{name} takes no value.")
        return option.key, True
    if not equals:
        following = next(words, None)
        if following is None:
            raise Usage(f"{name} wants a value.")
        value = following
    return option.key, _allowed(option, value)


def _allowed(option: Option, value: str) -> str:
    if option.choices and value not in option.choices:
        close = _closest(value, list(option.choices))
        raise Usage(f"{option.name} is one of {', '.join(option.choices)}, not '{value}'.{close}")
    return value


def _named(command: Command, positional: list[str], *, every: bool) -> dict[str, str]:
    names = () if every else command.args
    if every and positional:
        raise Usage("--all and a name exclude each other.")
    if len(positional) > len(names):
        quotes = " Put quotes around a text of several words." if "TEXT" in names else ""
        raise Usage(f"Too many arguments: '{positional[len(names)]}' has no place.{quotes}")
    missing = [name for name in names[len(positional) :] if not name.startswith("[")]
    if missing:
        either = " or --all" if any(option.name == "--all" for option in command.options) else ""
        raise Usage(f"Missing: {' and '.join(missing)}{either}.")
    return {name.strip("[]").lower(): word for name, word in zip(names, positional, strict=False)}


def _closest(word: str, known: list[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(word, known, n=1, cutoff=0.5)
    return f" Did you mean '{close[0]}'?" if close else ""
