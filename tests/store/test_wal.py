"""The write-ahead log: cut, dirty behind its end, held by a reader, or without room to be folded back."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from hyperhive.domain.records import Intended
from hyperhive.store.database import Database
from hyperhive.store.opening import WAL_PAGES

PAGE = 4096
SENT = 24


def messages(path: Path) -> list[str]:
    """What a daemon finds that opens the database now."""
    database = Database(path)
    database.open()
    found = [message.body for message in database.reader().messages.conversation(None, 0, 1_000)]
    database.close()
    return found


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a daemon that died: each message a transaction, all still in the log."""
    path = tmp_path_factory.mktemp("wal") / "home" / "hive.sqlite"
    database = Database(path)
    database.open()
    with database.transaction() as tx:
        tx.agents.insert("alice", "agent", Intended.RUNNING)
    for number in range(SENT):
        with database.transaction() as tx:
            tx.messages.insert("bob", "alice", f"{number}")
    left = path.parent.with_name("left")
    shutil.copytree(path.parent, left)
    database.close()
    return left


def copy(crashed: Path, tmp_path: Path) -> tuple[Path, Path]:
    home = tmp_path / "home"
    shutil.copytree(crashed, home)
    (home / "hive.sqlite-shm").unlink(missing_ok=True)  # as after a power cut
    return home / "hive.sqlite", home / "hive.sqlite-wal"


@pytest.mark.parametrize("part", [0.2, 0.5, 0.77, 0.9, 0.999, 1.0])
def test_a_log_that_was_cut_gives_the_transactions_ahead_of_the_cut_whole(
    crashed: Path, tmp_path: Path, part: float
) -> None:
    path, log = copy(crashed, tmp_path)
    with log.open("r+b") as file:
        file.truncate(int(log.stat().st_size * part))
    found = messages(path)
    assert found == [str(number) for number in range(len(found))]
    assert (len(found) == SENT) == (part == 1.0)


@pytest.mark.parametrize("behind", [b"\0" * PAGE * 3, b"\xff" * 5000, b"SQLite format 3\0" * 700])
def test_what_lies_behind_the_end_of_the_log_is_not_read(
    crashed: Path, tmp_path: Path, behind: bytes
) -> None:
    path, log = copy(crashed, tmp_path)
    with log.open("ab") as file:
        file.write(behind)
    assert messages(path) == [str(number) for number in range(SENT)]


def test_a_damaged_transaction_and_what_followed_it_were_never_there(crashed: Path, tmp_path: Path) -> None:
    path, log = copy(crashed, tmp_path)
    with log.open("r+b") as file:
        file.seek(int(log.stat().st_size * 0.8))
        file.write(b"\xa5" * 64)
    found = messages(path)
    assert found == [str(number) for number in range(len(found))]
    assert len(found) < SENT


def test_a_reader_that_holds_a_snapshot_keeps_it_and_the_log_grows_no_further_once_it_is_gone(
    database: Database, path: Path
) -> None:
    log = path.with_name(path.name + "-wal")
    with database.transaction() as tx:
        tx.agents.insert("alice", "agent", Intended.RUNNING)

    def write(pages: int) -> None:
        for _ in range(0, pages, 16):
            with database.transaction() as tx:
                tx.messages.insert("bob", "alice", "x" * 60_000)
                tx.messages.take("alice", turn=None)

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN")
        before = other.execute("SELECT count(*) FROM messages").fetchone()
        write(2 * WAL_PAGES)
        assert log.stat().st_size > 2 * WAL_PAGES * PAGE  # nothing it may still read is overwritten
        assert other.execute("SELECT count(*) FROM messages").fetchone() == before
    write(64)
    first = log.stat().st_size
    write(2 * WAL_PAGES)
    assert log.stat().st_size <= first  # it is written from its beginning again, and grows no further


CHILD = """
import resource, signal, sys
from pathlib import Path
from hyperhive.domain.records import Intended
from hyperhive.errors import Broken
from hyperhive.store.database import Database

path = Path(sys.argv[1])
database = Database(path)
database.open()
with database.transaction() as tx:
    tx.agents.insert("alice", "agent", Intended.RUNNING)

def send(number):
    with database.transaction() as tx:
        tx.messages.insert("bob", "alice", f"{number} " + "x" * 20_000)
        tx.messages.take("alice", turn=None)

hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), hard))
refused, number = 0, 0
while refused < 5:
    number += 1
    try:
        send(number)
    except Broken as error:
        refused += 1
        print("refused", error.code, flush=True)
    else:
        print("kept", number, flush=True)
    assert number < 5000
print("free", database.reader().messages.depth("alice"), flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
for number in range(number + 1, number + 4):
    send(number)
    print("kept", number, flush=True)
database.close()
"""


def test_files_that_may_not_grow_refuse_what_does_not_fit_and_take_the_next_that_does(path: Path) -> None:
    """The log cannot be folded back either, from the limit on: a commit does not fail for that."""
    made = subprocess.run(
        [sys.executable, "-c", CHILD, str(path), str(6 * 1024 * 1024)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    said = [line.split() for line in made.stdout.splitlines()]
    assert [code for word, code in said if word == "refused"] == ["io-error"] * 5
    assert [depth for word, depth in said if word == "free"] == ["0"]
    assert [body.split()[0] for body in messages_all(path)] == [
        number for word, number in said if word == "kept"
    ]


def messages_all(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return [row[0] for row in database.execute("SELECT body FROM messages ORDER BY id")]
