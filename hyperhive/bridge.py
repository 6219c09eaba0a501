"""Threads ⇄ event loop: the only door, both ways. Nobody waits on the other side: not a publisher, not the loop."""

import asyncio
import concurrent.futures
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from hyperhive.actors.histogram import Histogram, Sample
from hyperhive.actors.ports import Frame, Outbound
from hyperhive.actors.reply import IGNORE, Call, Ignore, Reply
from hyperhive.deadlines import Deadlines
from hyperhive.errors import Broken, Deadline

if TYPE_CHECKING:
    from hyperhive.domain.wire import FromHost

T = TypeVar("T")

RING_FRAMES = 8192
RING_BYTES = 16 * 1024 * 1024
"""How far a reader may fall behind before it is told to resync."""


def on_the_loop(call: Callable[[], object]) -> Callable[[], None]:
    """What runs ``call`` soon on the present loop, from any thread or signal handler; nothing once it closed."""
    loop = asyncio.get_running_loop()

    def run() -> None:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(call)

    return run


class Bridge:
    """Carries calls down to actors, and frames and lines up to the loop.

    Made before the loop runs; ``open`` binds it to the running loop.
    """

    def __init__(self) -> None:
        self.feed = Feed(self)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._posted: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()
        self._deadlines = Deadlines()
        self._waking = threading.Lock()  # held from the call for the loop until it has come

    def open(self) -> None:
        """Bind to the running loop; what was posted before goes up now."""
        self._posted, self._waking = deque(), threading.Lock()  # nothing of a loop that was bound before
        self._deadlines.forget()
        self._loop = asyncio.get_running_loop()
        self.feed.drain()

    def close(self) -> None:
        """Carry nothing up any more."""
        self._loop = None

    # -- up

    def post(self, call: Callable[..., object], *args: object) -> bool:
        """Run ``call`` on the loop soon, in the order of posting; ``False`` if there is none any more.

        What is posted until the loop comes costs one wake-up, and comes to the loop together.
        """
        if self._loop is None:
            return False
        self._posted.append((call, args))
        return self._call()

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """A short block: what is posted in it, by whatever thread, comes at its end, with one wake-up."""
        waking = self._waking
        held = waking.acquire(blocking=False)
        try:
            yield
        finally:
            if held:
                waking.release()
                if self._posted and waking is self._waking:
                    self._call()

    def _call(self) -> bool:
        """Call the loop for what was posted, unless it has been called; ``False`` if there is none any more."""
        loop = self._loop
        if loop is None:
            return False
        if self._waking.acquire(blocking=False):
            try:
                loop.call_soon_threadsafe(self._run_posted)
            except RuntimeError:  # the loop closed in this very moment
                self._posted.clear()
                self._waking.release()
                return False
        return True

    def _run_posted(self) -> None:
        self._waking.release()  # before it looks: what is posted from now on calls again
        for _ in range(len(self._posted)):
            call, args = self._posted.popleft()
            try:
                call(*args)
            except Exception as error:
                said = {"message": "What was posted to the loop failed.", "exception": error}
                asyncio.get_running_loop().call_exception_handler(said)

    def signal(self, call: Callable[[], object]) -> None:
        """``post`` for who does not care whether there still is a loop."""
        self.post(call)

    def wait(self, coroutine: Coroutine[Any, Any, T], *, deadline: float) -> T:
        """Run ``coroutine`` on the loop and wait for it, in a Job's thread.

        Raises:
            Deadline: no end within ``deadline`` seconds.
            Broken: the daemon is stopping.
        """
        loop = self._loop
        stopping = Broken("The daemon is stopping; start it again.", code="stopping")
        if loop is None:
            coroutine.close()
            raise stopping
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        except RuntimeError:  # the loop closed in this very moment
            coroutine.close()
            raise stopping from None
        try:
            return future.result(deadline)
        except concurrent.futures.CancelledError:
            raise stopping from None
        except TimeoutError:
            future.cancel()
            raise Deadline(f"The event loop gave no answer within {deadline:g} s.") from None

    @property
    def ignore(self) -> Ignore:
        """Where an answer goes that nobody waits for."""
        return IGNORE

    def reply(self, done: Callable[[T], None], failed: Callable[[BaseException], None]) -> Reply[T]:
        """Where an answer goes that is only taken note of, on the loop, beside the one awaited."""
        return Call(lambda value: self.signal(lambda: done(value)), failed)

    def outbound(self, line: "Callable[[FromHost], None]", close: Callable[[], None]) -> Outbound:
        """The way from any thread to a connection that lives on the loop."""
        return _Outbound(self, line, close)

    # -- down

    async def call(
        self,
        make: Callable[[Reply[T]], object],
        *,
        deadline: float,
        undelivered: Callable[[T], None] | None = None,
    ) -> T:
        """Ask an actor and await its answer.

        Args:
            make: leaves the message with an address; it is given where the answer goes.
            deadline: seconds.
            undelivered: called with an answer that came after the caller had left.

        Raises:
            Deadline: no answer in time; the events show whether it took effect.
        """
        reply: _LoopReply[T] = _LoopReply(self, undelivered)
        make(reply)
        self._deadlines.add(reply.future, deadline)
        try:
            return await reply.future
        except asyncio.CancelledError:
            reply.left()
            raise
        except TimeoutError:
            raise Deadline(
                f"No answer within {deadline:g} s; look at the events for what came of it, then try again."
            ) from None
        finally:
            self._deadlines.drop(reply.future)


class _LoopReply(Generic[T]):
    """An answer that is awaited on the loop."""

    def __init__(self, bridge: Bridge, undelivered: Callable[[T], None] | None) -> None:
        self.future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._bridge = bridge
        self._undelivered = undelivered

    def set(self, value: T) -> None:
        if not self._bridge.post(self._deliver, value) and self._undelivered is not None:
            self._undelivered(value)

    def fail(self, error: BaseException) -> None:
        self._bridge.post(self._refuse, error)

    def left(self) -> None:
        """The caller was called off, perhaps when the answer had just come."""
        if self.future.done() and not self.future.cancelled() and not self.future.exception():
            self._deliver(self.future.result())

    def _deliver(self, value: T) -> None:
        if not self.future.done():
            self.future.set_result(value)
        elif self._undelivered is not None:
            self._undelivered(value)

    def _refuse(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class _Outbound:
    def __init__(self, bridge: Bridge, line: "Callable[[FromHost], None]", close: Callable[[], None]) -> None:
        self._bridge = bridge
        self._line = line
        self._close = close

    def send(self, line: "FromHost") -> None:
        self._bridge.post(self._line, line)

    def close(self) -> None:
        self._bridge.post(self._close)


class Follower(Protocol):
    """Serves readers of its own from the ring."""

    @property
    def readers(self) -> int:
        """How many."""

    def serve(self) -> None:
        """Frames came."""


class Feed:
    """The ring of encoded frames: encoded once, shared by all readers, a cursor and one wake-up each.

    A reader that falls behind the ring is told so and starts again from the record; it costs the others nothing.

    Args:
        bridge: the way to the loop.
        frames, size: how many frames, and bytes of them, the ring holds.
    """

    def __init__(self, bridge: Bridge, *, frames: int = RING_FRAMES, size: int = RING_BYTES) -> None:
        self._bridge = bridge
        self._most, self._size = frames, size
        self._lock = threading.Lock()
        self._incoming: deque[Frame] = deque()
        self._incoming_bytes = 0
        self._changed: frozenset[str] = frozenset()
        self._skipped = 0
        self._scheduled = False
        self._ring: deque[Frame] = deque()
        self._bytes = 0
        self._first = 0
        self._newest = 0
        self._waiting: set[asyncio.Future[None]] = set()
        self._followers: list[Follower] = []
        self._changes: set[asyncio.Queue[frozenset[str]]] = set()
        self.fanout = Histogram()

    def post(self, frames: list[Frame], changed: frozenset[str]) -> None:
        """Hand up frames, from any thread. One wake-up of the loop serves all that came meanwhile.

        While the loop is held up, no more waits here than the ring holds.
        """
        with self._lock:
            self._changed |= changed
            self._incoming.extend(frames)
            self._incoming_bytes += sum(len(frame.data) for frame in frames)
            while len(self._incoming) > self._most or self._incoming_bytes > self._size:
                self._incoming_bytes -= len(self._incoming.popleft().data)
                self._skipped += 1
            if self._scheduled:
                return
            self._scheduled = self._bridge.post(self.drain)

    def together(self) -> contextlib.AbstractContextManager[None]:
        """See ``Bridge.together``."""
        return self._bridge.together()

    # -- on the loop

    @property
    def end(self) -> int:
        """The position behind the newest frame."""
        return self._first + len(self._ring)

    @property
    def newest(self) -> int:
        """The number of the newest event that came up; 0: none did."""
        return self._newest

    def follow(self, follower: Follower) -> None:
        """Tell ``follower`` whenever frames came, before anything else can run on the loop."""
        self._followers.append(follower)

    @property
    def readers(self) -> int:
        """Readers that wait for the next frame."""
        return len(self._waiting) + sum(follower.readers for follower in self._followers)

    def drain(self) -> None:
        """Take over what was posted and wake who waits."""
        with self._lock:
            incoming, self._incoming, self._incoming_bytes = self._incoming, deque(), 0
            changed, self._changed = self._changed, frozenset()
            skipped, self._skipped = self._skipped, 0
            self._scheduled = False
        if skipped:  # they came between the ring and what is here: nobody can read across them
            self._first += len(self._ring) + skipped
            self._ring.clear()
            self._bytes = 0
        self._ring.extend(incoming)
        for frame in incoming:
            self._bytes += len(frame.data)
            if frame.seq is not None and frame.seq > self._newest:  # a hub that failed may hand up one again
                self._newest = frame.seq
        while self._ring and (len(self._ring) > self._most or self._bytes > self._size):
            self._bytes -= len(self._ring.popleft().data)
            self._first += 1
        readers = self.readers
        for follower in self._followers:
            follower.serve()
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)
        if readers and incoming and incoming[0].at:
            # Behind the wake-ups of all who waited: when it runs, the last of them has been handed what came.
            asyncio.get_running_loop().call_soon(self._handed, incoming[0].at)
        if changed:
            for queue in self._changes:
                if queue.full():
                    changed |= queue.get_nowait()
                queue.put_nowait(changed)

    def _handed(self, committed: float) -> None:
        self.fanout.observe(time.monotonic() - committed)

    def samples(self) -> list[Sample]:
        """What ``/metrics`` tells of the readers."""
        return [
            ("hyperhive_stream_readers", {}, float(self.readers)),
            ("hyperhive_stream_frames", {}, float(len(self._ring))),
            *self.fanout.samples("hyperhive_fanout_seconds"),
        ]

    def since(self, position: int, limit: int = 512) -> list[Frame] | None:
        """Up to ``limit`` frames from ``position`` on; ``None`` when the ring has moved beyond it."""
        start = position - self._first
        if start < 0:
            return None
        length = len(self._ring)
        if start >= length:
            return []
        if start > length // 2:  # a deque is reached from its nearer end
            tail = [self._ring[index] for index in range(-(length - start), 0)]
            return tail[:limit]
        return [self._ring[index] for index in range(start, min(length, start + limit))]

    async def more(self, position: int, wait: float) -> bool:
        """Wait until there is something behind ``position``; ``False`` after ``wait`` seconds."""
        if self.end > position:
            return True
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            async with asyncio.timeout(wait):
                await future
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(future)
        return True

    @contextlib.contextmanager
    def changes(self) -> Iterator[asyncio.Queue[frozenset[str]]]:
        """A queue of the names of agents whose view changed; what is not read in time is merged."""
        queue: asyncio.Queue[frozenset[str]] = asyncio.Queue(maxsize=64)
        self._changes.add(queue)
        try:
            yield queue
        finally:
            self._changes.discard(queue)
