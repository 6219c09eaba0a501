"""What a daemon makes of the end of a part of it."""

import asyncio
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from hyperhive import programs
from hyperhive.daemon import together
from hyperhive.errors import Broken, Refused
from hyperhive.settings import Settings
from hyperhive.start import check_host


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
from hyperhive import programs, start
from hyperhive.errors import Broken
from hyperhive.settings import Settings

class Noted(programs.Programs):
    def __init__(self, settings):
        print("hyperhive.daemon" in sys.modules)
        super().__init__(settings)
        os.kill(os.getpid(), signal.SIGTERM)

def killed(*_):
    raise Broken("It was ended by the same ^C.")

programs.Programs = Noted
if sys.argv[2:]:
    programs.choose = killed
home = Path(sys.argv[1])
sys.exit(start.run(Settings(home=home / "home", run=home / "run", port=0, runtime="process", rehearse=True)))
"""


@pytest.mark.parametrize("killed", [(), ("killed",)])
def test_programs_are_asked_before_the_rest_is_imported_and_a_stop_meanwhile_is_heard(
    killed: tuple[str, ...],
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as place:  # whose path is short enough for sockets
        done = subprocess.run(
            [sys.executable, "-c", _ASKED, place, *killed],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "False\n", "")
        assert Path(place, "home", "hive.sqlite").exists() != bool(killed)


def test_who_leaves_the_programs_has_waited_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def slow(wanted: str, runtimes: object) -> None:
        threading.Event().wait(0.2)  # nobody leaves before this is over
        ended.set()

    monkeypatch.setattr(programs, "choose", slow)
    with programs.Programs(Settings(home=tmp_path)):
        pass
    assert ended.is_set()


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
