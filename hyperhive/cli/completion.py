"""Completion scripts. Names come from the daemon, at the moment of completing."""

from hyperhive.cli.errors import Usage
from hyperhive.cli.parse import Args
from hyperhive.cli.show import line
from hyperhive.cli.table import COMMANDS, Option

SHELLS = ("bash", "zsh", "fish")

_LIST = "hyperhive list --json 2>/dev/null | sed -n"
_NAME = r's/^      "name": "\([a-z0-9-]*\)",*$/\1/p'
_ID = r's/^    "id": \([0-9]*\),*$/\1/p'
_ASKED = {
    "agents": f"{_LIST} '/^  \"drafts\"/q; {_NAME}'",
    "drafts": f'{_LIST} \'/^  "drafts"/,/^  "kept"/{_NAME}\'',
    "proposers": f"{_LIST} '/^  \"kept\"/q; {_NAME}'",
    "approvals": f"hyperhive pending --json 2>/dev/null | sed -n '{_ID}'",
    "questions": f"hyperhive questions --json 2>/dev/null | sed -n '{_ID}'",
}
"""What prints the words that may stand behind a command, by what they name."""
_NEW = ("spawn", "draft")
_FILES = tuple(command.name for command in COMMANDS if command.args[:1] == ("FILE",))
_OTHERS = {"discard": "drafts", "propose": "proposers", "answer": "questions"}


def completion(args: Args) -> int:
    """``completion SHELL``"""
    shell = args.word("shell")
    if shell not in SHELLS:
        raise Usage(f"There is completion for {', '.join(SHELLS)}, not for '{shell}'.")
    line({"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]())
    return 0


def _named() -> dict[str, list[str]]:
    """The commands whose first word names something there is, by what it names."""
    found: dict[str, list[str]] = {}
    for command in COMMANDS:
        first = command.args[0].strip("[]") if command.args else ""
        usual = {"NAME": "agents", "ID": "approvals"}.get(first)
        if usual is not None and command.name not in _NEW:
            found.setdefault(_OTHERS.get(command.name, usual), []).append(command.name)
    return found


def _values() -> dict[str, tuple[str, ...]]:
    """What options may be given that allow only some values."""
    return {option.name: option.choices for c in COMMANDS for option in c.options if option.choices}


def _cases() -> str:
    rows = [
        f"    {c.name}) options='{' '.join(o.name for o in c.options)}' ;;" for c in COMMANDS if c.options
    ]
    return "\n".join(rows)


def _bash() -> str:
    named = "\n".join(
        f'    {"|".join(commands)}) [ "$COMP_CWORD" -eq 2 ] && options="$options $({_ASKED[what]})" ;;'
        for what, commands in _named().items()
    )
    values = "\n".join(f"    {name}) options='{' '.join(words)}' ;;" for name, words in _values().items())
    return f"""\
_hyperhive() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" command="${{COMP_WORDS[1]}}" options=''
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '{" ".join(c.name for c in COMMANDS)}' -- "$current"))
    return
  fi
  case "$command" in
{_cases()}
  esac
  case "$command" in
{named}
    completion) options='{" ".join(SHELLS)}' ;;
    help) options='{" ".join(c.name for c in COMMANDS)}' ;;
  esac
  case "${{COMP_WORDS[COMP_CWORD-1]}}" in
{values}
  esac
  COMPREPLY=($(compgen -W "$options" -- "$current"))
  case "$command" in
    {"|".join(_FILES)}) compopt -o filenames 2>/dev/null; COMPREPLY+=($(compgen -f -- "$current")) ;;
  esac
}}
complete -F _hyperhive hyperhive"""


def _zsh() -> str:
    return "autoload -Uz bashcompinit && bashcompinit\n" + _bash()


def _fish() -> str:
    seen = "complete -c hyperhive -n '__fish_seen_subcommand_from"
    rows = [
        *(f"function __hyperhive_{what}; {asked}; end" for what, asked in _ASKED.items()),
        "complete -c hyperhive -f",
        *(
            f"complete -c hyperhive -n __fish_use_subcommand -a {c.name} -d '{_quoted(c.help)}'"
            for c in COMMANDS
        ),
        *(f"{seen} {' '.join(names)}' -a '(__hyperhive_{what})'" for what, names in _named().items()),
        f"{seen} {' '.join(_FILES)}' -F",
        f"{seen} completion' -a '{' '.join(SHELLS)}'",
        *(f"{seen} {c.name}' {_fish_option(o)}" for c in COMMANDS for o in c.options),
    ]
    return "\n".join(rows)


def _fish_option(option: Option) -> str:
    values = f" -x -a '{' '.join(option.choices)}'" if option.choices else ""
    return f"-l {option.name[2:]} -d '{_quoted(option.help)}'{values}"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
