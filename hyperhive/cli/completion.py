"""Completion scripts. Names come from the daemon, at the moment of completing."""

from hyperhive.cli.errors import Usage
from hyperhive.cli.parse import Args
from hyperhive.cli.show import line
from hyperhive.cli.table import COMMANDS

SHELLS = ("bash", "zsh", "fish")

_NAME_LINES = r's/^      "name": "\([a-z0-9-]*\)",*$/\1/p'
_NAMES = f"hyperhive list --json 2>/dev/null | sed -n '/^  \"kept\"/q; {_NAME_LINES}'"


def completion(args: Args) -> int:
    """``completion SHELL``"""
    shell = args.word("shell")
    if shell not in SHELLS:
        raise Usage(f"There is completion for {', '.join(SHELLS)}, not for '{shell}'.")
    line({"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]())
    return 0


def _named() -> list[str]:
    return [c.name for c in COMMANDS if c.args and c.args[0].strip("[]") == "NAME" and c.name != "spawn"]


def _cases() -> str:
    rows = [
        f"    {c.name}) options='{' '.join(o.name for o in c.options)}' ;;" for c in COMMANDS if c.options
    ]
    return "\n".join(rows)


def _bash() -> str:
    return f"""\
_hyperhive_names() {{ {_NAMES}; }}
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
    {"|".join(_named())}) [ "$COMP_CWORD" -eq 2 ] && options="$options $(_hyperhive_names)" ;;
    completion) options='{" ".join(SHELLS)}' ;;
    help) options='{" ".join(c.name for c in COMMANDS)}' ;;
  esac
  COMPREPLY=($(compgen -W "$options" -- "$current"))
}}
complete -F _hyperhive hyperhive"""


def _zsh() -> str:
    return "autoload -Uz bashcompinit && bashcompinit\n" + _bash()


def _fish() -> str:
    seen = "complete -c hyperhive -n '__fish_seen_subcommand_from"
    rows = [
        f"function __hyperhive_names; {_NAMES}; end",
        "complete -c hyperhive -f",
        *(
            f"complete -c hyperhive -n __fish_use_subcommand -a {c.name} -d '{_quoted(c.help)}'"
            for c in COMMANDS
        ),
        f"{seen} {' '.join(_named())}' -a '(__hyperhive_names)'",
        f"{seen} completion' -a '{' '.join(SHELLS)}'",
        *(f"{seen} {c.name}' -l {o.name[2:]} -d '{_quoted(o.help)}'" for c in COMMANDS for o in c.options),
    ]
    return "\n".join(rows)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
