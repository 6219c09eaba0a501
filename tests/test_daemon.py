"""What a daemon makes of the end of a part of it."""

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from hyperhive.composition import together
from hyperhive.daemon import check_host
from hyperhive.errors import Broken, Refused
from hyperhive.home import Claim
from hyperhive.settings import Settings


async def _fails(after: asyncio.Event) -> None:
    await after.wait()
    raise OSError("no more")


async def test_a_part_that_fails_by_itself_ends_the_others_and_is_no_good_end() -> None:
    now, stop = asyncio.Event(), asyncio.Event()
    now.set()
    other = asyncio.create_task(stop.wait())
    with pytest.raises(Broken):
        await together([asyncio.create_task(_fails(now)), other], stop, stop.set)  # type: ignore[list-item]
    assert other.result()


async def test_what_fails_at_an_end_that_was_asked_for_is_only_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stop, end = asyncio.Event(), asyncio.Event()
    stop.set()
    await together([asyncio.create_task(_fails(end))], stop, end.set)
    assert [record.getMessage() for record in caplog.records] == ["A server failed."]


_ASKED = """
import os, signal, sys
from pathlib import Path
from hyperhive import daemon, programs
from hyperhive.settings import Settings

class Noted(programs.Programs):
    def __init__(self, settings):
        print("hyperhive.composition" in sys.modules)
        super().__init__(settings)
        os.kill(os.getpid(), signal.SIGTERM)

programs.Programs = Noted
home = Path(sys.argv[1])
sys.exit(daemon.run(Settings(home=home / "home", run=home / "run", port=0, runtime="process", rehearse=True)))
"""


def test_programs_are_asked_before_the_rest_is_imported_and_a_stop_meanwhile_is_heard() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as place:  # whose path is short enough for sockets
        done = subprocess.run(
            [sys.executable, "-c", _ASKED, place], capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "False\n", "")
        with Claim(Path(place, "home")):
            assert Path(place, "home", "hive.sqlite").exists()


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("0.0.0.0", "0.0.0.0 is reachable from other machines; add --public"),
        (
            "hive.lan",
            "hive.lan is a name, no address as 127.0.0.1, and perhaps reachable from other machines",
        ),
    ],
)
def test_to_be_reached_from_other_machines_must_be_meant(tmp_path: Path, host: str, said: str) -> None:
    for own in ("localhost", "127.0.0.9", "::1"):
        check_host(Settings(home=tmp_path, host=own))
    check_host(Settings(home=tmp_path, host=host, public=True))
    with pytest.raises(Refused) as caught:
        check_host(Settings(home=tmp_path, host=host))
    assert caught.value.message.startswith(said)
