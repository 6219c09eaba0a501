"""Hives in which changes wait: a first proposal, a third round, a huge one, drafts, generations."""

from collections.abc import Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

from hyperhive.domain.agent_config import DEFAULT
from hyperhive.domain.approvals import Kind
from hyperhive.domain.views import ApprovalView, DraftView, GenerationView, KeptView
from tests.e2e.browser import scenes
from tests.fakes.hive import FakeHive
from tests.fakes.repositories import FIRST, Files, now

_T = TypeVar("_T")

POLITE = (
    'model = "sonnet"\nrestart = "on-failure"\n\n# Mail goes through the manager, so that one pair of eyes '
    'sees what leaves.\nallowedRecipients = ["manager"]\n\n[bash]\nallow = ["git *", "python -m report *"]\n\n'
    '[limits]\nmemory = "2G"\ntasks = 256\n'
)
POLITER = POLITE.replace('memory = "2G"', 'memory = "1G"').replace("tasks = 256", "tasks = 128\ncpus = 0.5")
PROMPT = "You keep the minutes of the weekly review.\n\nWrite plainly. Ask before you promise anything.\n"
SILENT = "The MCP server weather did not start: exit status 1."
LONG_LINE = "x = " + ", ".join(f"'value number {n}'" for n in range(80)) + "\n"


def at_once(work: Coroutine[Any, Any, _T]) -> _T:
    """The result of a command of the fake hive, which never waits for anything."""
    try:
        work.send(None)
    except StopIteration as end:
        result: _T = end.value
        return result
    raise AssertionError("the fake hive waited")


def proposed(
    hive: FakeHive, name: str, files: Files, *, summary: str, note: str = "", ttl: float | None = None
) -> ApprovalView:
    """The manager commits and asks for an existing agent to be changed."""
    sha = hive.commit(name, files, summary=summary)
    return at_once(hive.request_commit(Kind.APPLY_COMMIT, name, sha, by="manager", note=note, ttl=ttl))


def one() -> FakeHive:
    """A small change that waits."""
    hive = scenes.of(scenes.agent("manager"), scenes.agent("alice"))
    proposed(
        hive,
        "alice",
        {"agent.toml": POLITE, "prompt.md": PROMPT},
        summary="Let alice write to the manager only",
        note="She answered a customer directly yesterday. From now on it goes through me.",
        ttl=7200,
    )
    return hive


def rounds() -> FakeHive:
    """A change in its third round."""
    hive = one()
    answers = ("Half the memory, please.", "And at most half a processor; it only writes text.")
    texts = (POLITE.replace('memory = "2G"', 'memory = "1G"'), POLITER)
    for answer, text in zip(answers, texts, strict=True):
        (waiting,) = hive.snapshot().approvals
        at_once(hive.decide(waiting.id, decision="revise", note=answer, by="operator"))
        proposed(
            hive, "alice", {"agent.toml": text}, summary="Let alice write to the manager only, with less"
        )
    return hive


def huge(lines: int = 5_000) -> FakeHive:
    """A change of thousands of lines in several files."""
    hive = scenes.of(scenes.agent("manager"), scenes.agent("alice"))
    corpus = {
        f"corpus/part-{part}.txt": "".join(
            f"{n:05d} The line {n} of part {part}, as it was collected in the night of the 21st.\n"
            for n in range(lines // 5)
        )
        for part in range(5)
    }
    files: Files = {"agent.toml": POLITE, "data/wide.py": LONG_LINE, "logo.png": b"\x89PNG\0", **corpus}
    proposed(hive, "alice", files, summary="Bring the corpus that alice is to read, all five parts of it")
    return hive


def many() -> FakeHive:
    """Everything at once: spawns, drafts, changes, a change behind the agent's back, long names."""
    long = "translator-for-quarterly-report"
    hive = scenes.of(
        scenes.agent("manager"),
        scenes.agent("alice", warnings=("memory = 4G does not hold here: no cgroup may be written.",)),
        scenes.agent("bob"),
        scenes.agent(long),
        kept=(
            KeptView(name="old-hand", since=scenes.past(days=2), logged_in=True, size=48_300_000),
            KeptView(name="scribe", since=scenes.past(minutes=5)),
        ),
        drafts=(DraftView(name="courier", created=scenes.past(days=1), by="operator", size=2_100),),
    )
    proposed(hive, "alice", {"agent.toml": POLITE}, summary="Let alice write to the manager only", ttl=500)
    proposed(hive, long, {"agent.toml": POLITE, "prompt.md": PROMPT}, summary="Speak plainly " * 9)
    proposed(hive, "manager", {"agent.toml": 'model = "opus"\n'}, summary="Think harder")
    at_once(hive.request_spawn("dora", by="manager", note="To sort the mail while alice is away."))
    at_once(hive.request_draft("herald", by="manager"))
    sha = hive.commit("herald", {"agent.toml": POLITE, "prompt.md": PROMPT}, summary="A herald for releases")
    at_once(hive.request_commit(Kind.SPAWN_COMMIT, "herald", sha, by="manager"))
    agent = hive.snapshot().agent(long)
    assert agent is not None
    hive.replace(replace(agent, commit="88ad01e" + "0" * 33))
    return hive


def generations(count: int = 7) -> FakeHive:
    """An agent with a history, and a failed build."""
    failed = "Rebuild failed: the harness did not report ready within 30 s; it runs generation 7 as before."
    hive = scenes.of(
        scenes.agent("manager"),
        scenes.agent(
            "alice",
            last_error=failed,
            generation=count,
            warnings=("The MCP server weather did not start: exit status 1.",),
        ),
    )
    hive.generations_of["alice"] = [
        GenerationView(
            number=number,
            commit=FIRST.sha[:-1] + str(number % 10),
            revision=f"0.1.0-{FIRST.sha[:11]}{number % 10}",
            summary="First config" if number == 1 else f"Change number {number} of what alice may do",
            made=now() - timedelta(hours=3 * (count - number) + 1),
            by="operator",
            approval=number if number > 1 else None,
            current=number == count,
            here=number > count - 5,
        )
        for number in range(count, 0, -1)
    ]
    for line in ("Reading agent.toml", "Rendering generation 8", "Starting the container", failed):
        hive.append_build("alice", line)
    return hive


def decided() -> FakeHive:
    """A hive in which much was decided."""
    hive = rounds()
    (waiting,) = hive.snapshot().approvals
    at_once(hive.decide(waiting.id, decision="approve", by="operator"))
    hive.settle("alice")
    for n in range(60):
        proposed(hive, "alice", {"agent.toml": f"{DEFAULT}# {n}\n"}, summary=f"Try number {n}")
    (last,) = hive.snapshot().approvals
    at_once(hive.decide(last.id, decision="deny", note="That is enough of it.", by="operator"))
    return hive
