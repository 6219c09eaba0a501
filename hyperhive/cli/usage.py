"""Help."""

from hyperhive.cli.errors import Usage
from hyperhive.cli.parse import Args
from hyperhive.cli.show import line, paint
from hyperhive.cli.table import BY_NAME, GROUPS, Command


def show_help(args: Args) -> int:
    """Print all commands, or one with its options."""
    name = args.words.get("command")
    if name is None:
        overview()
    elif name in BY_NAME:
        _one(BY_NAME[name])
    else:
        raise Usage(f"There is no command '{name}'. See 'hyperhive help'.")
    return 0


def overview() -> None:
    """Print all commands."""
    width = max(len(_typed(command)) for commands in GROUPS.values() for command in commands)
    line("hyperhive: supervises a hive of Claude Code agents on one host, one container each.")
    for group, commands in GROUPS.items():
        line()
        line(paint(group, "bold"))
        for command in commands:
            line(f"  {_typed(command):<{width}}  {command.help}")
    line()
    line(
        "'hyperhive help COMMAND' shows the options of one. "
        "Exit: 0 done, 1 refused or failed, 2 wrong usage, 3 no daemon."
    )


def _typed(command: Command) -> str:
    return " ".join([command.name, *command.args])


def _one(command: Command) -> None:
    line(f"Usage: {command.usage}")
    line()
    line(f"{command.name}: {command.help}.")
    if command.options:
        line()
    for option in command.options:
        typed = f"{option.name} {option.value}".rstrip()
        line(f"  {typed:<20} {option.help}{_choices(option.choices)}")


def _choices(choices: tuple[str, ...]) -> str:
    return f": {', '.join(choices)}" if choices else ""
