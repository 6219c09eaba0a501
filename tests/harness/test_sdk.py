"""The adapter to the SDK, with a program that talks Claude Code's protocol badly."""

import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hyperhive.domain.launch import Launch
from hyperhive.harness.claude import Began, ClaudeDied, ClaudeFailed, Ended, Happening, Noted
from hyperhive.harness.sdk import SdkClaude

PROGRAM = """
import json, os, subprocess, sys, time

def say(value):
    sys.stdout.buffer.write(value if isinstance(value, bytes) else json.dumps(value).encode())
    sys.stdout.buffer.write(b"\\n")
    sys.stdout.buffer.flush()

RESULT = {"type": "result", "subtype": "success", "duration_ms": 5, "duration_api_ms": 5, "is_error": False,
          "num_turns": 1, "session_id": "s1", "result": "fine", "total_cost_usd": 0.5,
          "usage": {"input_tokens": 3, "output_tokens": "many", "cache_read_input_tokens": -1}}
MODE = os.environ["MODE"]
if MODE == "refuses":
    sys.stderr.write("cannot go on\\n")
    sys.exit(3)
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "control_request":
        say({"type": "control_response",
             "response": {"subtype": "success", "request_id": message["request_id"], "response": {}}})
        continue
    say({"type": "system", "subtype": "init", "session_id": "s1", "claude_code_version": "9",
         "mcp_servers": [{"name": "a", "status": "connected"}, {"name": "hyperhive", "status": "failed"}, "odd"]})
    if MODE == "dies":
        subprocess.Popen(["sleep", "2"])  # holds our stdout open
        os.kill(os.getpid(), 9)
    if MODE == "odd":
        for odd in (b"not json", b"\\xff\\xfe", b"{}", b"[]", b"null", b'{"type":"assistant"}', b'{"type":"new"}',
                    b"[" * 100000, b'{"type":"assistant","message":{"model":"m","content":[{"type":"text"}]}}',
                    b'{"type":"system","subtype":"api_retry"}', b'{"type":"system","subtype":"compact_boundary"}',
                    b'{"type":"system","subtype":"status","compact_result":["?"]}', b"x" * 17000000,
                    b'{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":1e99},'
                    b'"uuid":"u","session_id":"s"}',
                    b'{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t",'
                    b'"content":[{"type":"image"},{"type":"text","text":"\\\\ud800"}]}]}}'):
            say(odd)
        say({"type": "assistant", "message": {"model": "m", "content": [
            {"type": "text", "text": "hello"}, {"type": "thinking", "thinking": "hm", "signature": ""},
            {"type": "tool_use", "id": "t", "name": "Bash", "input": {"command": "ls"}}]}})
    say(RESULT)
"""


@asynccontextmanager
async def claude(folder: Path, mode: str) -> AsyncIterator[SdkClaude]:
    program = folder / "claude"
    program.write_text(f"#!{sys.executable} -IS\n{PROGRAM}")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    launch = Launch(
        generation=1,
        agent="alice",
        role="agent",
        model="m",
        claude=str(program),
        hive_sock="h",
        mcp_sock="m",
        state=str(folder),
        claude_dir=str(folder),
        records=str(folder / "records"),
    )
    made = SdkClaude(launch=launch, prompt=lambda: "be kind")
    try:
        await made.start(session=None, env={"MODE": mode})
        yield made
    finally:
        await made.close()


async def heard(made: SdkClaude) -> list[Happening]:
    return [happening async for happening in made.ask("hi")]


async def test_odd_messages_are_survived_and_what_is_sound_gets_through(tmp_path: Path) -> None:
    async with claude(tmp_path, "odd") as made:
        told = await heard(made)
        assert told[0] == Began("s1", unavailable="failed", version="9")
        shown = [(n.type, n.text) for n in told if isinstance(n, Noted)]
        for sound in (
            ("text", "hello"),
            ("thinking", "hm"),
            ("tool_use", '{"command": "ls"}'),
            ("result", "fine"),
        ):
            assert sound in shown
        end = told[-1]
        assert isinstance(end, Ended) and end.ok and end.total_cost == 0.5
        assert (end.usage.input_tokens, end.usage.output_tokens, end.usage.cache_read_tokens) == (3, 0, 0)
        assert isinstance((await heard(made))[-1], Ended), "the process takes the next prompt"


async def test_a_death_is_noticed_though_a_child_holds_the_output_open(tmp_path: Path) -> None:
    async with claude(tmp_path, "dies") as made:
        with pytest.raises(ClaudeDied, match="SIGKILL"):
            await heard(made)
        assert not made.alive


async def test_a_start_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(ClaudeFailed, match=r"exit status 3 \(cannot go on\)"):
        async with claude(tmp_path, "refuses"):
            pass


async def test_the_mcp_config_is_for_the_harness_alone(tmp_path: Path) -> None:
    async with claude(tmp_path, "well"):
        config = tmp_path / "records" / "mcp.json"
        assert stat.S_IMODE(config.stat().st_mode) == 0o600
        assert "alwaysLoad" in config.read_text()
