"""One for one: a table of failures and phases, storms, and the supervisor's own end."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from hyperhive.actors.address import MAX_PENDING, Address
from hyperhive.actors.base import Actor, Failure
from hyperhive.actors.crew import Crew, CrewActor
from hyperhive.actors.reply import IGNORE, Reply, Waiter
from hyperhive.actors.roster import Failed, Post, Roster
from hyperhive.actors.supervisor import LIVENESS, Add, Look, Release, Remove, Root
from hyperhive.domain.policy import RestartPolicy
from hyperhive.errors import Broken, Gone, Refused
from tests.actors.rig import Quiet
from tests.fakes.watcher import ManualWatcher
from tests.waiting import eventually


@dataclass(frozen=True)
class Do:
    """Do something in the actor's thread."""

    what: Callable[[], object]
    reply: Reply[Any] = IGNORE


@dataclass(frozen=True)
class Tell:
    """The same; nobody waits."""

    what: Callable[[], object]


class Planned(Actor):
    """An actor whose failures are planned: ``plan`` maps a phase to what it raises there, once each."""

    def __init__(
        self,
        *,
        plan: dict[str, list[BaseException]],
        attempt: int,
        error: str | None,
        born: Callable[["Planned"], None],
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.attempt, self.error, self._plan = attempt, error, plan
        self._fail("constructor")
        born(self)

    def begin(self) -> None:
        self._fail("begin")

    def handle(self, message: Any) -> None:
        if isinstance(message, Do):
            message.reply.set(message.what())
        else:
            message.what()

    def _fail(self, phase: str) -> None:
        if self._plan.get(phase):
            raise self._plan[phase].pop()


class Solo(Planned):
    """One with a thread of its own, as the services."""


class Hand(Planned, CrewActor):
    """One that a crew runs, as the agents."""


class Nursery:
    """A supervisor, its roster, and time that is turned.

    Args:
        crew: runs the children; ``None``: each has a thread.
    """

    def __init__(self, crew: Crew | None) -> None:
        self.crew = crew
        self.timers = ManualWatcher()
        self.timers.start()
        self.roster = Roster()
        self.root = Root(roster=self.roster, timers=self.timers, clock=self.timers.clock)
        self.given_up: list[str] = []
        self.made: list[Planned] = []

    def post(
        self, name: str, plan: dict[str, list[BaseException]] | None = None, patience: float = 30
    ) -> Post:
        def start(*, address: Address, failed: Failed, attempt: int, error: str | None) -> object:
            kind: type[Planned] = Solo if self.crew is None else Hand
            own = {} if self.crew is None else {"crew": self.crew}
            return kind.start(
                plan=plan or {},
                attempt=attempt,
                error=error,
                born=self.made.append,
                address=address,
                failed=failed,
                **own,
            )

        post = Post(
            name=name,
            address=Address(name),
            start=start,
            policy=RestartPolicy(jitter=0),
            given_up=self.given_up.append,
            patience=patience,
        )
        self.root.address.tell(Add(post))
        return post

    def ask(self, post: Post, what: Callable[[], object]) -> Any:
        reply: Waiter[Any] = Waiter()
        post.address.tell(Do(what, reply))
        return reply.get(60)

    def supervised(self) -> None:
        """Return when the supervisor has dealt with what it was told."""
        reply: Waiter[None] = Waiter()
        self.root.address.tell(Remove("#nobody", reply=reply))
        reply.get(60)


@pytest.fixture(params=["threads", "crew"])
def nursery(request: pytest.FixtureRequest) -> Iterator[Nursery]:
    """Children of either kind."""
    crew = Crew() if request.param == "crew" else None
    nursery = Nursery(crew)
    with Quiet():
        nursery.root.start()
        yield nursery
        nursery.root.stop()
        nursery.timers.stop()
        if crew is not None:
            crew.close()


def raising(error: BaseException) -> Callable[[], object]:
    def fail() -> object:
        raise error

    return fail


KINDS = [RuntimeError, SystemExit, KeyboardInterrupt, GeneratorExit, MemoryError, RecursionError]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("phase", ["tell", "ask", "begin", "constructor"])
def test_whatever_fails_wherever_that_actor_alone_is_replaced(
    nursery: Nursery, kind: type[BaseException], phase: str
) -> None:
    sibling = nursery.post("sibling")
    nursery.ask(sibling, lambda: None)
    before = sibling.address.actor
    post = nursery.post("child", {phase: [kind("why")]})
    match phase:
        case "tell":
            post.address.tell(Tell(raising(kind("why"))))
        case "ask":
            with pytest.raises(Broken, match="was restarted"):
                nursery.ask(post, raising(kind("why")))
    assert nursery.ask(post, lambda: "here") == "here"
    assert post.restarts == 1
    child = nursery.made[-1]
    assert child.attempt == 1
    assert child.error is not None
    assert child.error.startswith(f"{kind.__name__}: why")
    assert nursery.ask(sibling, lambda: "well") == "well"
    assert sibling.address.actor is before
    assert sibling.restarts == 0


def test_a_refusal_is_the_askers_and_changes_nothing(nursery: Nursery) -> None:
    post = nursery.post("child")
    with pytest.raises(Refused, match="no"):
        nursery.ask(post, raising(Refused("no")))
    nursery.supervised()
    assert post.restarts == 0


def test_what_waited_in_the_mailbox_is_the_successors_in_its_order(nursery: Nursery) -> None:
    post = nursery.post("child")
    gate, seen = threading.Event(), []
    post.address.tell(Tell(lambda: gate.wait(60)))
    post.address.tell(Tell(raising(RuntimeError("bug"))))
    for number in range(50):
        post.address.tell(Tell(lambda n=number: seen.append(n)))  # type: ignore[misc]  # n is bound
    gate.set()
    nursery.ask(post, lambda: None)
    assert seen == list(range(50))


def test_backoff_doubles_and_the_fifth_failure_in_a_minute_quarantines_until_it_is_lifted(
    nursery: Nursery,
) -> None:
    post = nursery.post("child")
    nursery.ask(post, lambda: None)
    for failure, delay in enumerate([0, 1, 2, 4], 1):
        post.address.tell(Tell(raising(RuntimeError(f"bug {failure}"))))
        eventually(lambda n=failure: post.restarts == n)  # type: ignore[misc]
        if delay:
            eventually(lambda: post.due is not None)
            assert delay in nursery.timers.waits()
            nursery.timers.advance(delay)
        nursery.ask(post, lambda: None)
    post.address.tell(Tell(raising(RuntimeError("the last"))))
    eventually(lambda: post.quarantined)
    assert nursery.given_up == ["RuntimeError: the last (on Tell)"]
    with pytest.raises(Refused, match="quarantined"):
        nursery.ask(post, lambda: None)
    for _ in range(MAX_PENDING + 1):
        post.address.tell(Tell(lambda: None))
    nursery.timers.advance(3600)
    nursery.supervised()
    assert post.address.actor is None
    lifted: Waiter[bool] = Waiter()
    nursery.root.address.tell(Release("child", lifted))
    assert lifted.get(60)
    assert nursery.ask(post, lambda: "back") == "back"
    assert post.address.depth == 0


def test_ten_healthy_minutes_heal(nursery: Nursery) -> None:
    post = nursery.post("child")
    for failure in range(1, 8):
        post.address.tell(Tell(raising(RuntimeError("now and then"))))
        eventually(lambda n=failure: post.restarts == n)  # type: ignore[misc]
        nursery.ask(post, lambda: None)
        nursery.timers.advance(601)
    assert not post.quarantined


def test_an_actor_that_hangs_is_replaced_and_what_it_does_later_does_not_count(nursery: Nursery) -> None:
    post = nursery.post("child", patience=10)
    gate = threading.Event()
    late: Waiter[Any] = Waiter()
    post.address.tell(Do(lambda: gate.wait(60), late))
    post.address.tell(Tell(lambda: None))
    eventually(lambda: nursery.made and nursery.made[0].busy_with == "Do")
    nursery.timers.advance(11)
    nursery.root.address.tell(Look())
    assert nursery.ask(post, lambda: "successor") == "successor"
    assert post.restarts == 1
    gate.set()
    eventually(lambda: nursery.made[0].actor_stopped.is_set())
    assert post.restarts == 1
    assert nursery.ask(post, lambda: "still") == "still"


def test_a_thousand_that_fail_together_come_back_once_each(nursery: Nursery) -> None:
    posts = [nursery.post(f"child-{number}") for number in range(1000)]
    for post in posts:
        nursery.ask(post, lambda: None)
    threads = threading.active_count()
    for post in posts:
        post.address.tell(Tell(raising(RuntimeError("storm"))))
    for post in posts:
        nursery.ask(post, lambda: None)
    assert {post.restarts for post in posts} == {1}
    assert len(nursery.made) == 2000
    eventually(lambda: threading.active_count() <= threads)


def test_a_supervisor_that_fails_is_brought_back_and_no_post_has_two_actors(nursery: Nursery) -> None:
    posts = [nursery.post(f"child-{number}") for number in range(20)]
    for post in posts:
        nursery.ask(post, lambda: None)
    before = [post.address.actor for post in posts]
    for _ in range(3):
        nursery.root.address.tell(Release(None))  # type: ignore[arg-type]  # breaks nothing
        nursery.root.address.tell(Add("nonsense"))  # type: ignore[arg-type]  # a bug in who told it
    posts[0].address.tell(Tell(raising(RuntimeError("meanwhile"))))
    eventually(lambda: nursery.root.restarts == 3)
    nursery.supervised()
    for post in posts:
        nursery.ask(post, lambda: None)
    assert [post.address.actor for post in posts[1:]] == before[1:]
    assert len(nursery.made) == 21
    assert posts[0].restarts <= 1  # a successor that found the post vacant filled it without counting


def test_a_post_that_is_vacant_without_a_reason_is_filled(nursery: Nursery) -> None:
    post = nursery.post("child")
    nursery.ask(post, lambda: None)
    actor = post.address.actor
    assert actor is not None
    post.address.detach(actor)
    for _ in range(2):
        nursery.timers.advance(LIVENESS)
        nursery.supervised()
    assert nursery.ask(post, lambda: "filled") == "filled"
    assert actor.actor_ref.is_alive()
    actor.stop()


def test_a_post_is_entered_once_and_struck_only_by_who_holds_it(nursery: Nursery) -> None:
    post = nursery.post("child")
    nursery.post("child")
    nursery.root.address.tell(Remove("child", Address("child")))
    assert nursery.ask(post, lambda: "here") == "here"
    assert len(nursery.made) == 1
    nursery.root.address.tell(Remove("child", post.address))
    nursery.supervised()
    with pytest.raises(Gone):
        nursery.ask(post, lambda: None)


def test_an_address_keeps_so_many_messages_and_no_more() -> None:
    address = Address("vacant")
    for _ in range(MAX_PENDING):
        address.tell(Tell(lambda: None))
    with pytest.raises(Broken, match="not answering"):
        address.tell(Tell(lambda: None))
    assert address.depth == MAX_PENDING
    address.close()
    assert address.depth == 0


def test_what_an_actor_that_hangs_still_takes_is_not_waited_for(nursery: Nursery) -> None:
    post, seen = nursery.post("child"), []
    assert nursery.ask(post, lambda: "here") == "here"
    child, gate, held = nursery.made[0], threading.Event(), threading.Event()
    post.address.tell(Tell(held.set))
    post.address.tell(Tell(lambda: gate.wait(60)))
    assert held.wait(60)
    for number in range(100):
        post.address.tell(Tell(lambda n=number: seen.append(n)))  # type: ignore[misc]  # n is bound
    taking = threading.Thread(target=lambda: [child.actor_inbox.take() for _ in range(50)], daemon=True)
    taking.start()
    detached = threading.Thread(target=post.address.detach, args=(child,), daemon=True)
    detached.start()
    for thread in (taking, detached):
        thread.join(60)
        assert not thread.is_alive()
    assert child.actor_inbox.empty()
    assert post.address.depth >= 50
    gate.set()
    child.stop()


def test_who_asks_an_actor_that_is_removed_meanwhile_hears_that_it_is_gone(nursery: Nursery) -> None:
    post = nursery.post("child")
    gate, late = threading.Event(), Waiter[Any]()
    post.address.tell(Tell(lambda: gate.wait(60)))
    post.address.tell(Do(lambda: None, late))
    nursery.root.address.tell(Remove("child"))
    with pytest.raises(Gone, match="gone"):
        late.get(60)
    gate.set()


def test_a_failure_is_written_down_also_where_no_thread_is_to_be_had(
    nursery: Nursery, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none_left(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    scribe, child = Roster().scribe, nursery.post("child")
    nursery.ask(child, lambda: None)
    monkeypatch.setattr(threading.Thread, "start", none_left)
    with caplog.at_level("ERROR", logger="hyperhive"):
        for name in ("one", "two"):
            scribe.write(name, Failure(nursery.made[0], ValueError("bug"), "on start"))
    assert [record.getMessage().split()[0] for record in caplog.records] == ["one", "two"]
