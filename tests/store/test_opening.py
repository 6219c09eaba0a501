"""Opening makes, migrates or refuses; a refusal says what is wrong and what to do."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from hyperhive.domain.records import Intended
from hyperhive.errors import Broken
from hyperhive.memory import held
from hyperhive.store import opening
from hyperhive.store.database import Database


def refusal(path: Path) -> Broken:
    with pytest.raises(Broken) as caught:
        Database(path).open()
    assert "\n" not in caught.value.message
    return caught.value


def made(path: Path) -> None:
    database = Database(path)
    database.open()
    database.close()


def schema(path: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(path) as raw:
        rows = raw.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
    raw.close()
    return rows


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_new_database_is_its_owners_alone(database: Database, path: Path) -> None:
    with database.transaction() as tx:
        tx.meta.set("k", "v")
    assert mode(path.parent) == 0o700
    assert {mode(file) for file in path.parent.iterdir()} == {0o600}
    assert len(list(path.parent.iterdir())) == 3


def test_modes_are_tightened_but_a_folder_of_others_things_stays_open(tmp_path: Path) -> None:
    home, shared = tmp_path / "home", tmp_path / "shared"
    for folder in (home, shared):
        folder.mkdir(mode=0o755)
    (shared / "thesis.txt").write_text("mine")
    for folder in (home, shared):
        made(folder / "hive.sqlite")
    assert (mode(home), mode(shared), mode(shared / "hive.sqlite")) == (0o700, 0o755, 0o600)


def test_it_commits_durably(database: Database) -> None:
    with database.transaction() as tx:
        settings = {
            name: tx._sql.one(f"PRAGMA {name}")
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert settings == {
        "journal_mode": ("wal",),
        "synchronous": (2,),
        "foreign_keys": (1,),
        "busy_timeout": (5000,),
    }


def test_its_connections_hold_few_of_its_pages(database: Database) -> None:
    before = held().get("sqlite", 0.0)
    with database.transaction() as tx:
        tx.agents.insert("alice", "agent", Intended.RUNNING)
    for _ in range(4):
        with database.transaction() as tx:
            for _ in range(80):
                tx.messages.insert("operator", "alice", "x" * 60_000)
    reader = database.reader()
    after, read = 1, 1
    while page := reader.messages.conversation(None, after, 200):
        after, read = page[-1].id, read + len(page)
    assert read == 320
    assert held().get("sqlite", 0.0) - before < 1.5 * (opening.WRITER_CACHE + opening.READER_CACHE)


def test_a_closed_database_is_one_file_and_opens_again(path: Path) -> None:
    for round in range(2):
        database = Database(path)
        database.open()
        with database.transaction() as tx:
            tx.meta.set(f"k{round}", "v")
        database.close()
        assert [file.name for file in path.parent.iterdir()] == ["hive.sqlite"]
    database = Database(path)
    database.open()
    assert database.reader().meta.get("k0") == database.reader().meta.get("k1") == "v"
    database.close()


@pytest.mark.parametrize("version", range(len(opening.migrations()) + 1))
def test_every_older_version_becomes_the_present_one(path: Path, tmp_path: Path, version: int) -> None:
    opening.open_writer(path, opening.migrations()[:version]).close()
    fresh = tmp_path / "fresh" / "hive.sqlite"
    for file in (path, fresh):
        database = Database(file)
        database.open()
        with database.transaction() as tx:
            tx.agents.insert("alice", "agent", Intended.RUNNING)
        database.close()
    assert schema(path) == schema(fresh)
    with sqlite3.connect(path) as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (len(opening.migrations()),)
    raw.close()


def test_a_migration_keeps_what_is_there_and_is_taken_whole_or_not_at_all(path: Path) -> None:
    steps = ("CREATE TABLE a (x);\nINSERT INTO a VALUES ('kept; really');",)
    opening.open_writer(path, steps).close()
    with pytest.raises(Broken, match="no such table: nowhere"):
        opening.open_writer(path, (*steps, "CREATE TABLE b (y);\nINSERT INTO nowhere VALUES (1);"))
    connection = opening.open_writer(path, (*steps, "CREATE TABLE b (y);\nINSERT INTO b SELECT x FROM a;"))
    assert connection.all("SELECT y FROM b") == [("kept; really",)]
    connection.close()


def test_a_newer_schema_is_refused_and_left_alone(path: Path) -> None:
    made(path)
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA user_version = 99")
    raw.close()
    error = refusal(path)
    assert error.code == "newer-schema"
    known = len(opening.migrations())
    assert f"was written by a newer hyperhive (schema 99, this one knows {known})" in error.message
    assert "install that version again, or restore an older backup" in error.message


def test_another_programs_database_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE bookmarks (url)")
    raw.close()
    before = path.read_bytes()
    error = refusal(path)
    assert error.code == "not-hive"
    assert error.message == f"{path} is not a hyperhive database; move it away or choose another --home."
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("Dear diary, " * 1000)
    assert (
        refusal(path).message == f"{path} is not a hyperhive database; move it away or choose another --home."
    )


def test_a_damaged_database_is_refused(path: Path) -> None:
    database = Database(path)
    database.open()
    with database.transaction() as tx:
        tx.agents.insert("alice", "agent", Intended.RUNNING)
        for _ in range(200):
            tx.messages.insert("bob", "alice", "x" * 1000)
    database.close()
    content = bytearray(path.read_bytes())
    half = len(content) // 2
    content[half : half + 40_000] = b"\xff" * 40_000
    path.write_bytes(content)
    # What is left of a log tells that the last daemon did not close.
    path.with_name("hive.sqlite-wal").write_bytes(b"torn")
    error = refusal(path)
    assert error.code == "damaged"
    assert "restore it from a backup, or move it away to begin anew" in error.message


def filled(path: Path) -> bytearray:
    """A database that was closed as it should be; its bytes."""
    database = Database(path)
    database.open()
    with database.transaction() as tx:
        tx.agents.insert("alice", "agent", Intended.RUNNING)
        for _ in range(200):
            tx.messages.insert("bob", "alice", "x" * 1000)
    database.close()
    return bytearray(path.read_bytes())


def test_half_a_page_of_zeros_is_noticed_though_the_last_daemon_closed_it(path: Path) -> None:
    content = filled(path)
    size = int.from_bytes(content[16:18], "big")
    begin = len(content) // size // 2 * size
    content[begin : begin + size // 2] = bytes(size // 2)
    path.write_bytes(content)
    assert refusal(path).code == "damaged"
    assert path.read_bytes() == content


@pytest.mark.parametrize("left", [100, 1000, 4096, 5000, 30_000])
def test_a_database_that_was_cut_short_is_refused_and_left_alone(path: Path, left: int) -> None:
    content = filled(path)[:left]
    path.write_bytes(content)
    assert refusal(path).code in ("damaged", "not-hive")
    assert path.read_bytes() == content


def test_a_log_without_its_database_is_kept_for_whoever_finds_that_again(path: Path) -> None:
    made(path)
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("INSERT INTO meta VALUES ('k', 'v')")
    log = path.with_name("hive.sqlite-wal").read_bytes()
    raw.close()
    content = path.read_bytes()
    path.unlink()
    path.with_name("hive.sqlite-wal").write_bytes(log)
    error = refusal(path)
    assert error.code == "lost"
    assert "put the file back, or move the log away to begin anew" in error.message
    assert [file.name for file in path.parent.iterdir()] == ["hive.sqlite-wal"]
    path.write_bytes(content)
    made(path)


def test_a_database_that_another_program_is_writing_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(path)
    monkeypatch.setattr(opening, "BUSY_TIMEOUT", 50)
    script = "import sqlite3, sys\nraw = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
    script += "raw.execute('BEGIN IMMEDIATE')\nprint('held', flush=True)\nsys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "held\n"
        assert "is held by another process; end that one and try again" in refusal(path).message
        other.stdin.close()
    made(path)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DROP TABLE meta", "meta is missing or not as it was made"),
        ("ALTER TABLE meta RENAME COLUMN key TO name", "meta is missing or not as it was made"),
        ("ALTER TABLE agents DROP COLUMN session", "agents is missing or not as it was made"),
        ("DROP TRIGGER events_are_not_edited", "events_are_not_edited is missing"),
        ("UPDATE agents SET intended = 'bogus'", "holds an agent that no hyperhive wrote ('bogus'"),
        ("UPDATE agents SET warnings = '{'", "holds an agent that no hyperhive wrote (Expecting"),
        ("UPDATE agents SET created = 9223372036854775807", "holds an agent that no hyperhive wrote (date"),
        ("UPDATE agents SET name = '../../evil'", "holds an agent that no hyperhive wrote ('../../evil'"),
    ],
)
def test_a_database_that_somebody_edited_is_refused_where_it_cannot_be_read(
    path: Path, statement: str, said: str
) -> None:
    filled(path)
    made(path)  # it was found whole before
    with sqlite3.connect(path) as raw:
        raw.execute(statement)
    raw.close()
    error = refusal(path)
    assert said in error.message
    assert error.code == "damaged"


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE INDEX mine ON messages (ts)",
        "CREATE TRIGGER mine BEFORE INSERT ON meta BEGIN SELECT RAISE(ABORT, 'no'); END",
    ],
)
def test_an_index_or_a_trigger_that_somebody_added_is_no_obstacle(path: Path, statement: str) -> None:
    filled(path)
    with sqlite3.connect(path) as raw:
        raw.execute(statement)
    raw.close()
    made(path)


def test_columns_that_somebody_added_are_no_obstacle(path: Path) -> None:
    filled(path)
    with sqlite3.connect(path) as raw:
        made_by_us = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        tables = [row[0] for row in raw.execute(made_by_us)]
        for table in tables:
            raw.execute(f"ALTER TABLE {table} ADD COLUMN mine TEXT")
            raw.execute(f"ALTER TABLE {table} ADD COLUMN also TEXT NOT NULL DEFAULT 'a, (b)'")
    raw.close()
    assert {"agents", "drafts", "events", "meta"} <= set(tables)
    database = Database(path)
    database.open()
    with database.transaction() as tx:
        tx.agents.insert("bob", "agent", Intended.RUNNING)
        tx.messages.insert("alice", "bob", "hello")
    assert [row.name for row in database.reader().agents.all()] == ["alice", "bob"]
    database.close()


def test_what_was_found_whole_is_compared_again_only_with_another_version(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def noted(step: str) -> list[str]:
        compared.append(step)
        return statements(step)

    compared: list[str] = []
    statements = opening._statements
    monkeypatch.setattr(opening, "_statements", noted)
    for _ in range(3):
        made(path)
    assert compared == [*opening.migrations()] * 2  # made, compared, believed
    monkeypatch.setattr(opening, "__version__", "another")
    made(path)
    assert compared == [*opening.migrations()] * 3


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("session TEXT,", ""),
        ("session TEXT,", "session BLOB,"),
        ("session TEXT,", "session TEXT, mine TEXT NOT NULL,"),
        ("session TEXT,", "session TEXT, mine TEXT AS (name),"),
        ("AUTOINCREMENT", ""),
    ],
)
def test_a_table_that_was_made_otherwise_is_refused(path: Path, was: str, now: str) -> None:
    made(path)
    made(path)  # and was found whole
    with sqlite3.connect(path) as raw:
        (sql,) = raw.execute("SELECT sql FROM sqlite_master WHERE name = 'agents'").fetchone()
        indexes = raw.execute(
            "SELECT sql FROM sqlite_master WHERE tbl_name = 'agents' AND sql LIKE '%INDEX%'"
        )
        again = indexes.fetchall()
        raw.execute("DROP TABLE agents")
        assert was in sql
        for statement in (sql.replace(was, now), *(row[0] for row in again)):
            raw.execute(statement)
    raw.close()
    assert "agents is missing or not as it was made" in refusal(path).message


def test_what_is_refused_keeps_its_mode(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("Dear diary, " * 1000)
    path.chmod(0o644)
    refusal(path)
    assert mode(path) == 0o644


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    error = refusal(tmp_path / "home" / "hive.sqlite")
    assert error.code == "cannot-open"
    assert "check that its folder is there and writable" in error.message


def test_a_database_that_cannot_be_written_is_told(path: Path) -> None:
    made(path)
    reader = opening.open_reader(path)
    with pytest.raises(
        Broken, match="cannot be written: it or its disk is read-only; make it writable"
    ) as caught:
        reader.run("DELETE FROM meta")
    assert caught.value.code == "read-only"
    reader.close()


def test_what_was_approved_before_approvals_were_built_counts_as_deployed(path: Path) -> None:
    old = opening.open_writer(path, opening.migrations()[:1])
    for state in ("approved", "pending", "denied"):
        old.run(
            "INSERT INTO approvals (kind, agent, requested_by, requested, state)"
            " VALUES ('spawn', ?, 'manager', 0, ?)",
            *(state, state),
        )
    old.close()
    database = Database(path)
    database.open()
    try:
        reader = database.reader()
        assert reader.approvals.to_build("approved") is None
        assert [(view.id, view.state.value, view.thread) for view in reader.approvals.decided(None, 9)] == [
            (3, "denied", 3),
            (1, "deployed", 1),
        ]
        assert [view.id for view in reader.approvals.pending()] == [2]
    finally:
        database.close()
