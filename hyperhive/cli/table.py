"""Every command: its arguments, its options, what it does, and where. Help and completion read it too."""

from typing import NamedTuple


class Option(NamedTuple):
    """An option. ``value`` names its value, empty for a switch; ``choices`` are the values allowed."""

    name: str
    help: str
    value: str = ""
    choices: tuple[str, ...] = ()
    required: bool = False

    @property
    def key(self) -> str:
        """Its name among the parsed arguments."""
        return self.name.removeprefix("--").replace("-", "_")


class Command(NamedTuple):
    """A command. ``target`` is ``module:function`` in this package; ``args`` in brackets may be left out."""

    name: str
    args: tuple[str, ...]
    help: str
    options: tuple[Option, ...]
    target: str

    @property
    def usage(self) -> str:
        """How it is typed."""
        typed = [(f"{o.name} {o.value}".rstrip(), o.required) for o in self.options if o is not ALL]
        shown = [text if required else f"[{text}]" for text, required in typed]
        names = [f"{name}|{ALL.name}" if ALL in self.options else name for name in self.args]
        return " ".join(["hyperhive", self.name, *names, *shown])


JSON = Option("--json", "print JSON instead of text")
ALL = Option("--all", "every agent")
FOLLOW = Option("--follow", "go on with what comes")
NO_WAIT = Option("--no-wait", "return at once; the outcome is an event")
NOTE = Option("--note", "why, told to whoever asked", "TEXT")
CHANGE = Option("--note", "what is to be changed, told to whoever asked", "TEXT", required=True)
AGAINST = ("running", "proposal", "approved")
RUNTIMES = ("auto", "nixos", "nspawn", "bubblewrap", "process")

UP = (
    Option("--home", "where the hive keeps everything", "DIR"),
    Option("--host", "address to listen on (127.0.0.1)", "HOST"),
    Option("--port", "port to listen on (7000); 0: any free one", "PORT"),
    Option("--public", "allow an address beyond this machine"),
    Option("--runtime", "what makes the containers (auto)", "RUNTIME", RUNTIMES),
    Option("--rehearse", "a scripted model instead of Claude's, whatever credentials there are"),
    Option("--no-browser", "print the entry link only"),
)

_LIFE = (ALL, NO_WAIT, JSON)

_HIVE = (
    Command("up", (), "start the hive and stay in the foreground", UP, "host:up"),
    Command("list", (), "the agents", (JSON,), "read:list_agents"),
    Command("stats", ("[NAME]",), "turns, tokens and cost of the last day", (JSON,), "read:stats"),
    Command("open", (), "a fresh one-time entry link to the dashboard", (JSON,), "host:open_dashboard"),
    Command("token", (), "the operator's token", (JSON,), "host:token"),
    Command(
        "sessions", (), "browsers that are logged in",
        (Option("--end", "log all of them out"), JSON),
        "host:sessions",
    ),
    Command("doctor", (), "what works here, and what to do about the rest", (JSON,), "doctor:doctor"),
    Command(
        "backup", ("FILE",), "write the hive to one file; it may run meanwhile",
        (Option("--home", "where the hive is", "DIR"),
         Option("--secrets", "tokens, logins and environments too"), JSON),
        "backups:backup",
    ),
    Command(
        "restore", ("FILE",), "make the home what a backup holds; nothing may be there",
        (Option("--home", "where the hive is to be", "DIR"), JSON),
        "backups:restore",
    ),
    Command("version", (), "the version", (JSON,), "host:version"),
)  # fmt: skip

_AGENTS = (
    Command("show", ("NAME",), "one agent", (JSON,), "read:show"),
    Command("spawn", ("NAME",), "make an agent and start it", (NO_WAIT, JSON), "act:spawn"),
    Command("start", ("NAME",), "start its container", _LIFE, "act:operate"),
    Command("stop", ("NAME",), "end its container", _LIFE, "act:operate"),
    Command("restart", ("NAME",), "end its container and start it again", _LIFE, "act:operate"),
    Command("update", ("NAME",), "rebuild it from what is current", _LIFE, "act:operate"),
    Command("pause", ("NAME",), "take no new messages", _LIFE, "act:operate"),
    Command("resume", ("NAME",), "go on after a pause or a quarantine", _LIFE, "act:operate"),
    Command(
        "destroy", ("NAME",), "end it; its folders are kept unless --purge",
        (Option("--purge", "delete its folders, or what was kept of them"),
         Option("--yes", "do not ask"), NO_WAIT, JSON),
        "act:destroy",
    ),
    Command("login", ("NAME",), "complete its Claude login, in this terminal", (), "host:login"),
    Command("shell", ("NAME",), "a shell in its container", (), "host:shell"),
    Command(
        "logs", ("NAME",), "its container's log",
        (FOLLOW, Option("--lines", "how many to begin with (100)", "N"), JSON),
        "read:logs",
    ),
)  # fmt: skip

_MESSAGES = (
    Command("send", ("NAME", "TEXT"), "send it a message; '-' reads it from stdin", (JSON,), "act:send"),
    Command("inbox", (), "messages to you", (Option("--take", "and mark them as read"), JSON), "read:inbox"),
    Command(
        "events", (), "what happened",
        (FOLLOW, Option("--after", "only behind this number", "N"), JSON),
        "read:events",
    ),
)  # fmt: skip

_DECISIONS = (
    Command("pending", (), "approvals that wait for you", (JSON,), "approvals:pending"),
    Command(
        "diff", ("ID",), "what an approval would change",
        (Option("--against", "compared with what (running)", "WHAT", AGAINST), JSON),
        "approvals:diff",
    ),
    Command("approve", ("ID",), "approve it", (NOTE, JSON), "approvals:decide"),
    Command("deny", ("ID",), "deny it", (NOTE, JSON), "approvals:decide"),
    Command(
        "revise", ("ID",), "send it back to be changed", (CHANGE, JSON), "approvals:decide"
    ),
    Command(
        "decided", (), "approvals that wait no more, newest first",
        (Option("--limit", "how many (50)", "N"), JSON),
        "approvals:decided",
    ),
    Command("questions", (), "questions that wait for you", (JSON,), "read:questions"),
    Command("answer", ("ID", "TEXT"), "answer a question; '-' reads it from stdin", (JSON,), "act:answer"),
)  # fmt: skip

_CHANGES = (
    Command("draft", ("NAME",), "a config repository for an agent to be, no container", (JSON,), "approvals:draft"),
    Command(
        "discard", ("NAME",), "delete a draft with its folders",
        (Option("--yes", "do not ask"), JSON),
        "approvals:discard",
    ),
    Command(
        "propose", ("NAME", "COMMIT"), "ask for a commit of its config repository to be applied",
        (Option("--note", "what to know of it", "TEXT"), JSON),
        "approvals:propose",
    ),
    Command("withdraw", ("ID",), "take back what you proposed", (JSON,), "approvals:withdraw"),
    Command("history", ("NAME",), "its generations: what it was built from", (JSON,), "generations:history"),
    Command(
        "rollback", ("NAME", "[GENERATION]"), "go back to an earlier generation as it was built",
        (NO_WAIT, JSON),
        "generations:rollback",
    ),
    Command("build", ("NAME",), "what its last build said", (FOLLOW, JSON), "generations:build"),
)  # fmt: skip

_HELP = (
    Command(
        "completion", ("SHELL",), "completion for bash, zsh or fish, to be sourced",
        (), "completion:completion",
    ),
    Command("help", ("[COMMAND]",), "this, or one command", (), "usage:show_help"),
)  # fmt: skip

GROUPS = {
    "The hive": _HIVE,
    "Agents": _AGENTS,
    "Messages": _MESSAGES,
    "Decisions": _DECISIONS,
    "Changes": _CHANGES,
    "Help": _HELP,
}
COMMANDS = tuple(command for group in GROUPS.values() for command in group)
BY_NAME = {command.name: command for command in COMMANDS}
