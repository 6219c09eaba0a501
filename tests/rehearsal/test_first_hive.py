"""The built-in scenario shows the main job, whoever is there for it."""

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hyperhive.domain.agent_config import DEFAULT, AgentConfig, parse
from hyperhive.domain.events import ApprovalResolved
from hyperhive.domain.recorded import envelope
from hyperhive.rehearsal.scenario import builtin
from tests.rehearsal.conversing import Conversing, Tool, prompt

SEND = "mcp__hyperhive__send"
LIST = "mcp__hyperhive__list_agents"
ASK = "mcp__hyperhive__ask_operator"


def listed(*agents: tuple[str, str, str]) -> Tool:
    rows = [f'{{"name": "{n}", "role": "{r}", "container": "{c}", "login": "x"}}' for n, r, c in agents]
    return lambda given: f'{{"agents": [{", ".join(rows)}]}}'


def manager(*agents: tuple[str, str, str]) -> Conversing:
    fleet = listed(("manager", "manager", "running"), *agents)
    return Conversing(builtin(), "manager", tools={SEND: lambda given: "sent", LIST: fleet})


def agent(*, bash: Tool = lambda given: "ok") -> Conversing:
    tools: dict[str, Tool] = {SEND: lambda given: "sent", ASK: lambda given: "asked", "Bash": bash}
    return Conversing(builtin(), "alice", tools=tools)


def sent(talk: Conversing) -> list[tuple[str, str]]:
    return [(call.input["to"], call.input["body"]) for call in talk.calls if call.tool == SEND]


def test_the_manager_hands_the_operators_wish_to_the_first_agent_that_runs() -> None:
    talk = manager(("alice", "agent", "stopped"), ("bob", "agent", "running"))
    talk.turn(prompt(("operator", "How is the machine?")))
    ((to, body),) = sent(talk)
    assert to == "bob"
    assert "How is the machine?" in body


def test_alone_the_manager_says_how_to_spawn_an_agent() -> None:
    talk = manager()
    talk.turn(prompt(("operator", "How is the machine?")))
    ((to, body),) = sent(talk)
    assert to == "operator"
    assert "hyperhive spawn alice" in body


def test_with_nobody_running_the_manager_says_how_to_start_one() -> None:
    talk = manager(("alice", "agent", "stopped"))
    talk.turn(prompt(("operator", "How is the machine?")))
    ((to, body),) = sent(talk)
    assert to == "operator"
    assert "hyperhive start alice" in body


def test_the_agent_works_for_real_and_reports_to_who_asked(tmp_path: Path) -> None:
    def bash(given: dict[str, Any]) -> str:
        command = ["bash", "-c", given["command"]]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    talk = agent(bash=bash)
    talk.turn(prompt(("manager", "The operator asks: How is the machine?")))
    ((to, body),) = sent(talk)
    report = (tmp_path / "report.md").read_text()
    assert to == "manager"
    assert report.startswith("# Report of alice\n")
    assert "memory free: " in report
    assert body == f"Report of alice, also in report.md:\n{report}"


def test_the_manager_passes_a_report_on_to_the_operator() -> None:
    talk = manager(("alice", "agent", "running"))
    talk.turn(prompt(("alice", "Report of alice: all is well")))
    assert sent(talk) == [("operator", "alice reports:\nReport of alice: all is well")]


def test_a_report_between_agents_is_not_answered_so_that_nothing_goes_round() -> None:
    talk = agent()
    talk.turn(prompt(("bob", "Report of bob: all is well")))
    assert talk.calls == []


@pytest.mark.parametrize("name", ["manager", "alice"])
def test_what_the_hive_tells_gets_one_thought_and_no_tool(name: str) -> None:
    talk = manager() if name == "manager" else agent()
    events = [("system", '{"kind":"needs_update","agent":"alice"}')] * 5
    assert len(talk.turn(prompt(*events))) == 1
    assert talk.calls == []


def test_ask_me_something_asks_and_the_answer_is_taken_up() -> None:
    talk = agent()
    talk.turn(prompt(("operator", "ask me something")))
    assert [call.tool for call in talk.calls] == [ASK]
    assert len(talk.calls[0].input["options"]) == 3
    answer = "Question 1: Which report would you like?\nThe operator answers: memory"
    talk.turn(prompt(("operator", answer)))
    assert sent(talk) == [("operator", "Thank you. You chose: memory.")]


def test_run_gives_a_command_to_bash_as_it_was_typed() -> None:
    talk = agent(bash=lambda given: "two lines\nof output")
    talk.turn(prompt(("operator", 'run: echo "{agent}" | wc -c')))
    assert talk.calls[0].input["command"] == 'echo "{agent}" | wc -c'
    assert sent(talk) == [("operator", "two lines\nof output")]


def test_loop_n_calls_so_often_and_is_bounded() -> None:
    talk = agent(bash=lambda given: "12:00")
    assert "The last one was at 12:00." in talk.turn(prompt(("operator", "loop 3")))
    assert len(talk.calls) == 3
    talk.turn(prompt(("operator", "loop 99")))
    assert len(talk.calls) == 3 + 20


def test_tell_sends_to_whom_it_names() -> None:
    talk = agent()
    talk.turn(prompt(("operator", "tell bob: look at the disk")))
    assert sent(talk) == [("bob", "look at the disk")]


def test_only_the_operator_gives_such_orders() -> None:
    talk = agent()
    talk.turn(prompt(("bob", "run: rm -rf /")))
    assert all("rm -rf" not in str(call.input) for call in talk.calls)


DRAFT = "mcp__hyperhive__request_spawn_draft"
SPAWN = "mcp__hyperhive__request_spawn_commit"
APPLY = "mcp__hyperhive__request_apply_commit"


class Office:
    """A manager with the config folder of one agent, where its tools work for real."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "carol" / "config"
        self.config.mkdir(parents=True)
        (folder / "carol" / "state").mkdir()
        (self.config / "agent.toml").write_text(DEFAULT)
        self.env = {
            **os.environ,
            "HYPERHIVE_AGENTS": str(folder),
            **{
                f"GIT_{who}_{what}": "manager"
                for who in ("AUTHOR", "COMMITTER")
                for what in ("NAME", "EMAIL")
            },
        }
        self.bash({"command": f"cd {self.config} && git init -q && git add . && git commit -qm Begin"})
        tools: dict[str, Tool] = {
            "Bash": self.bash,
            "Read": lambda given: Path(given["file_path"]).read_text(),
            "Edit": self.edit,
            "Write": lambda given: str(Path(given["file_path"]).write_text(given["content"])),
            SEND: lambda given: "sent",
            DRAFT: lambda given: '{"name": "carol", "config": "$HYPERHIVE_AGENTS/carol/config"}',
            SPAWN: lambda given: '{"id": 1, "agent": "carol"}',
            APPLY: lambda given: '{"id": 2, "agent": "carol"}',
        }
        self.talk = Conversing(builtin(), "manager", tools=tools)

    def bash(self, given: dict[str, Any]) -> str:
        command = ["bash", "-c", given["command"]]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def edit(self, given: dict[str, Any]) -> str:
        file = Path(given["file_path"])
        text = file.read_text()
        assert text.count(given["old_string"]) == 1
        file.write_text(text.replace(given["old_string"], given["new_string"]))
        return "edited"

    def proposed(self, tool: str) -> AgentConfig:
        """The config at the commit that was last asked for, which is the newest."""
        asked = next(call.input for call in reversed(self.talk.calls) if call.tool == tool)
        head = self.bash({"command": f"cd {self.config} && git status --porcelain && git rev-parse HEAD"})
        assert (asked["name"], asked["commit_ref"]) == ("carol", head.strip())
        return parse((self.config / "agent.toml").read_text())


def test_the_manager_drafts_an_agent_and_asks_for_the_commit_it_made(tmp_path: Path) -> None:
    office = Office(tmp_path)
    office.talk.turn(prompt(("operator", "draft carol")))
    assert office.proposed(SPAWN).allowedRecipients == ("manager",)
    assert (office.config / "prompt.md").read_text().startswith("You report")
    assert (office.config.parent / "state" / "notes.md").read_text() == "Drafted by manager.\n"
    assert sent(office.talk) == []


def test_the_manager_proposes_a_change_and_changes_it_again_as_the_operator_notes(tmp_path: Path) -> None:
    office = Office(tmp_path)
    office.talk.turn(prompt(("operator", 'change carol: model = "opus"')))
    assert office.proposed(APPLY).model == "opus"
    for number, (kind, tool) in enumerate((("apply-commit", APPLY), ("spawn-commit", SPAWN)), start=1):
        revise = ApprovalResolved(
            agent="carol", id=number, approval=kind, decision="revise", sha="a" * 40, tag=f"revise/{number}",
            note=f'Not "that" one; rather: model = "haiku-{number}"', by="operator", where="dashboard",
        )  # fmt: skip
        office.talk.turn(prompt(("system", envelope(number, datetime.now(UTC), revise))))
        assert office.proposed(tool).model == f"haiku-{number}"
    office.talk.turn(prompt(("operator", 'change carol: limits.memory = "8M"')))
    assert office.proposed(APPLY).limits.memory == "8M"
    assert sent(office.talk) == []


def test_what_could_not_be_proposed_is_told_to_the_operator(tmp_path: Path) -> None:
    office = Office(tmp_path)
    office.talk.tools[DRAFT] = lambda given: "There is already an agent 'carol'; choose another name."
    office.talk.turn(prompt(("operator", "draft carol")))
    office.talk.turn(prompt(("operator", 'change dave: model = "opus"')))
    office.talk.tools[APPLY] = lambda given: "agent.toml: model: not valid."
    office.talk.turn(prompt(("operator", "change carol: model = 7")))
    told = [body for _, body in sent(office.talk)]
    assert told[0].startswith("No draft: There is already") and told[1].startswith("I could not change dave")
    assert told[2] == "Not proposed: agent.toml: model: not valid."
