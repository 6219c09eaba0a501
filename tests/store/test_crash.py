"""A process that is killed while it writes: what it acknowledged is there, and nothing by halves."""

import subprocess
import sys
from pathlib import Path

from hyperhive.store.database import Database

WRITER = """
import sys
from pathlib import Path
from hyperhive.domain.events import MessageSent
from hyperhive.domain.records import Intended
from hyperhive.store.database import Database

database = Database(Path(sys.argv[1]))
database.open()
with database.transaction() as tx:
    if tx.agents.get("alice") is None:
        tx.agents.insert("alice", "agent", Intended.RUNNING)
while True:
    with database.transaction() as tx:
        ids = [tx.messages.insert("bob", "alice", str(n)).id for n in range(3)]
        for id in ids:
            tx.emit(MessageSent(agent="bob", id=id, sender="bob", to="alice"))
    print(ids[-1], flush=True)
"""


def killed_writer(path: Path, lines: int) -> int:
    """Kill the writer after it acknowledged ``lines`` transactions or some more; returns its last message."""
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        told = [child.stdout.readline() for _ in range(lines)]
        child.kill()
        told += child.stdout.readlines()
    return int([line for line in told if line.endswith("\n")][-1])


def test_kill_9_loses_nothing_acknowledged_and_stores_nothing_half(path: Path) -> None:
    for lines in (1, 7, 40):
        acknowledged = killed_writer(path, lines)
        database = Database(path)
        database.open()
        reader = database.reader()
        messages = reader.messages.conversation(None, 0, 1_000_000)
        events = reader.events.after(0, 1_000_000, None)
        assert messages[-1].id >= acknowledged
        assert len(messages) % 3 == 0
        assert [message.body for message in messages] == ["0", "1", "2"] * (len(messages) // 3)
        assert [event.seq for event in events] == list(range(1, len(messages) + 1))
        assert reader.messages.depth("alice") == len(messages)
        database.close()
