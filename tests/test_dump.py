"""What a dump says of threads and mailboxes, however many and whatever they are called."""

import os
import select
import signal
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

from hyperhive.dump import MAX_FRAMES, MAX_LINES, Dump, mailbox, stacks
from tests.waiting import eventually


def _deep(levels: int, ready: threading.Event, over: threading.Event) -> None:
    if levels:
        _deep(levels - 1, ready, over)
    else:
        ready.set()
        over.wait(60)


def _shown(*, threads: int, levels: int) -> list[str]:
    over, readies = threading.Event(), [threading.Event() for _ in range(threads)]
    made = [
        threading.Thread(target=_deep, args=(levels, ready, over), name=f"waits-{number}")
        for number, ready in enumerate(readies)
    ]
    for thread in made:
        thread.start()
    try:
        for ready in readies:
            assert ready.wait(60)
        mine = {thread.ident for thread in made}

        def at_rest() -> bool:
            return len(list(_heads(mine))) == 1

        eventually(at_rest)  # the last of them is still on its way into the wait
        return _lines(mine)
    finally:
        over.set()
        for thread in made:
            thread.join()


def _lines(mine: set[int | None]) -> list[str]:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    frames = {ident: frame for ident, frame in sys._current_frames().items() if ident in mine}
    return list(stacks(frames, names))


def _heads(mine: set[int | None]) -> list[str]:
    return [line for line in _lines(mine) if not line.startswith(" ")]


def test_threads_at_one_place_are_told_together_outermost_frame_first() -> None:
    head, *frames = _shown(threads=3, levels=2)
    assert set(head.removesuffix(":").split(", ")) == {"waits-0", "waits-1", "waits-2"}
    assert [frame.rpartition(" in ")[2] for frame in frames[-5:]] == [
        "_deep",
        "_deep",
        "_deep",
        "Event.wait",
        "Condition.wait",
    ]
    assert f"{__file__}:" in frames[-3]


def test_a_crowd_is_counted_and_a_deep_stack_is_cut_at_its_outer_end() -> None:
    head, *frames = _shown(threads=20, levels=MAX_FRAMES)
    assert head.endswith(" and 8 more:")
    assert frames[0] == "  …"
    assert len(frames) == MAX_FRAMES + 1
    assert frames[-1].endswith("in Condition.wait")


def test_a_mailbox_says_what_waits_and_what_it_is_busy_with_since_when() -> None:
    assert mailbox("#hub", 0, "", 0.0, 0, "") == "#hub: 0 waiting, idle, 0 restarts"
    assert mailbox("bob", 7, "", 0.0, 5, "quarantined") == "bob: 7 waiting, quarantined, 5 restarts"
    busy = mailbox("alice", 2, "Tick", 12.34, 1, "")
    assert busy.startswith("alice: 2 waiting, busy with Tick for 12.3 s, since ")
    assert busy.endswith(", 1 restarts")


def test_it_is_bounded_and_nothing_in_it_passes_for_another_record(tmp_path: Path) -> None:
    file = tmp_path / "out"
    with file.open("wb") as out:
        Dump(out=out.fileno())._say("head", ("a\nb \x1b[31m" for _ in range(MAX_LINES + 5)))
    lines = file.read_text().splitlines()
    assert len(lines) == MAX_LINES + 2
    assert lines[:2] == ["head", "  a b \\x1b[31m"]
    assert lines[-1] == "  … the rest is left out"


def test_what_goes_wrong_in_a_dump_is_a_line_of_the_log_and_the_next_one_works(tmp_path: Path) -> None:
    failures = [ValueError("odd\nbytes"), None]

    def mailboxes() -> Iterable[str]:
        if (failure := failures.pop(0)) is not None:
            raise failure
        return ["alice: idle"]

    def nudge() -> None:
        raise RuntimeError("the loop is gone")

    heard, wakes = os.pipe()
    with (tmp_path / "out").open("wb") as out:
        dump = Dump(out=out.fileno())
        dump.mailboxes, dump.nudge = mailboxes, nudge
        listens = threading.Thread(target=dump._listen, args=(heard,))
        listens.start()
        for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGUSR1):
            os.write(wakes, bytes([number]))
            eventually(lambda: not select.select([heard], [], [], 0)[0])  # one after the other
        os.close(wakes)
        listens.join(60)
        assert not listens.is_alive()
    os.close(heard)
    said = (tmp_path / "out").read_text()
    assert "SIGUSR1: not all of it could be written: ValueError('odd\\nbytes')" in said
    assert "A signal could not be passed on: RuntimeError('the loop is gone')" in said
    assert said.count("SIGUSR1: 1 mailboxes\n  alice: idle\n") == 1
