"""The harness as a program: how it begins and ends."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from hyperhive.domain.launch import Launch
from hyperhive.link import Link
from tests.fakes.harness_host import Host, RecordingHive
from tests.waiting import eventually_async


def launch(folder: Path) -> Path:
    file = folder / "launch.json"
    made = Launch(
        generation=1,
        agent="alice",
        role="agent",
        model="m",
        hive_sock=str(folder / "agents/alice/hive.sock"),
        mcp_sock=str(folder / "mcp.sock"),
        state=str(folder),
        claude_dir=str(folder),
        records=str(folder),
    )
    file.write_text(made.model_dump_json())
    return file


async def start(file: Path) -> asyncio.subprocess.Process:
    with (file.parent / "log").open("wb") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hyperhive.harness", str(file), stdout=log
        )


def test_a_launch_file_that_cannot_be_used_is_told_in_one_line(tmp_path: Path) -> None:
    bad = tmp_path / "launch.json"
    for content in (None, "{}", "nonsense", '{"generation":"x"}'):
        if content is not None:
            bad.write_text(content)
        run = [sys.executable, "-m", "hyperhive.harness", str(bad)]
        done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1 and done.stderr == ""
        assert len(done.stdout.splitlines()) == 1 and "rebuild the agent" in done.stdout


async def test_it_is_ready_soon_says_who_it_is_and_ends_at_sigterm(tmp_path: Path) -> None:
    hive = RecordingHive(Host())
    link = Link(hive=hive, run=tmp_path)
    await link.open("alice")
    process = await start(launch(tmp_path))
    await eventually_async(lambda: hive.hellos, 30)
    assert hive.hellos[0].turn is None and len(hive.hellos[0].boot) == 16
    loaded = Path(f"/proc/{process.pid}/maps").read_text()
    assert "pydantic_core" in loaded and "cryptography" not in loaded, (
        "an idle harness has not loaded the SDK"
    )
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 30) == 0
    await link.aclose()


async def test_it_ends_at_sigterm_while_the_host_is_away(tmp_path: Path) -> None:
    process = await start(launch(tmp_path))
    log = tmp_path / "log"
    await eventually_async(lambda: "host is away" in log.read_text(), 30)
    os.kill(process.pid, signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 30) == 0
    assert log.read_text().count("host is away") == 1
