"""The clerk works beside the mailboxes: bounded, in order for each name, and it ends."""

import threading

import pytest

from hyperhive.actors import clerk as module
from hyperhive.actors.clerk import Clerk
from hyperhive.actors.reply import Waiter
from hyperhive.errors import Broken, Refused
from tests.actors.rig import Quiet
from tests.waiting import eventually


def test_who_asked_hears_what_came_of_it() -> None:
    clerk = Clerk()
    done, refused, failed = Waiter[int](), Waiter[int](), Waiter[int]()

    def refuse() -> int:
        raise Refused("not this one")

    clerk.run(lambda: 7, done)
    clerk.run(refuse, refused)
    assert done.get(60) == 7
    with pytest.raises(Refused, match="not this one"):
        refused.get(60)
    with Quiet(), pytest.raises(Broken, match="see the daemon's log"):
        clerk.run(lambda: 1 // 0, failed)
        failed.get(60)
    clerk.close()


def test_what_is_about_one_name_is_done_in_order_and_holds_up_no_other() -> None:
    clerk, gate, order = Clerk(threads=3), threading.Event(), list[int]()

    def first() -> None:
        gate.wait(60)
        order.append(1)

    replies = [Waiter[None]() for _ in range(4)]
    clerk.run(first, replies[0], key="alice")
    for number, reply in enumerate(replies[1:], start=2):
        clerk.run(lambda n=number: order.append(n), reply, key="alice")  # type: ignore[misc]  # binds
    other: Waiter[str] = Waiter()
    clerk.run(lambda: "bob", other, key="bob")
    assert other.get(60) == "bob"
    assert order == []
    gate.set()
    for reply in replies:
        reply.get(60)
    assert order == [1, 2, 3, 4]
    clerk.close()


def test_what_comes_at_once_finds_a_thread_each() -> None:
    clerk, gate = Clerk(threads=2), threading.Event()
    ready: Waiter[None] = Waiter()
    clerk.run(lambda: None, ready)
    ready.get(60)
    eventually(lambda: clerk._idle == 1)
    held, done = Waiter[bool](), Waiter[int]()
    clerk.run(lambda: gate.wait(60), held)
    clerk.run(lambda: 2, done)
    assert done.get(60) == 2
    gate.set()
    assert held.get(60)
    clerk.close()


def test_the_queue_has_a_bound_and_a_close_answers_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    clerk, gate, begun = Clerk(threads=1), threading.Event(), threading.Event()
    held: Waiter[bool] = Waiter()

    def hold() -> bool:
        begun.set()
        return gate.wait(60)

    clerk.run(hold, held)
    assert begun.wait(60)
    waiting = [Waiter[None](), Waiter[None]()]
    for reply in waiting:
        clerk.run(lambda: None, reply)
    with pytest.raises(Broken, match="try again in a minute"):
        clerk.run(lambda: None)
    closing = threading.Thread(target=clerk.close)
    closing.start()
    for reply in waiting:
        with pytest.raises(Broken, match="nothing was done"):
            reply.get(60)
    gate.set()
    closing.join(60)
    assert held.get(60)
    with pytest.raises(Broken, match="stopping"):
        clerk.run(lambda: None)
    clerk.close()


def test_where_no_thread_is_to_be_had_who_asks_is_told_and_the_next_time_it_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none_left(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    clerk, done = Clerk(), Waiter[int]()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", none_left)
        for _ in range(5):
            with pytest.raises(Broken, match="No thread is to be had"):
                clerk.run(lambda: 7)
    assert clerk.waiting == 0
    clerk.run(lambda: 7, done)
    assert done.get(60) == 7
    clerk.close()
