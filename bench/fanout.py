"""One event, and a burst of them, from an actor to the last of many stream clients, against a bare broadcaster in C
and against nginx with nchan. The clients are one program in C, the same for all sides; it checks every number."""

import contextlib
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.measure import Goal, Row
from bench.peers import peer
from bench.streaming import Source, bare, nginx, ours

CLIENTS = 1_000
BURST, BURST_CLIENTS = 400, 500
_ROUNDS, _BURSTS = 101, 9
_HERE = Path(__file__).parent


class Readers:
    """The clients of one source, in a process of their own."""

    def __init__(self, program: Path, source: Source, count: int, folder: Path) -> None:
        self._source = source
        (folder / "request").write_bytes(source.request)
        argv = [str(program), str(source.port), str(count), str(folder / "request")]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._seen: int | None = None
        self._hear("ready")

    def until_all_read(self, count: int) -> float:
        """Publish ``count`` events at once; seconds until the last client has read the last of them."""
        if self._seen is None:  # what the first one's number is, only publishing tells
            _, self._seen = self._source.publish(1)
            self._expect(self._seen)
            self._hear(f"{self._seen} ")
        self._seen += count
        self._expect(self._seen)
        began, last = self._source.publish(count)
        if last != self._seen:
            raise RuntimeError(f"{last} was published where {self._seen} was meant")
        return (int(self._hear(f"{last} ").split()[1]) - began) / 1e9

    def close(self) -> None:
        """End them."""
        assert self._process.stdin and self._process.stdout
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def _expect(self, seq: int) -> None:
        assert self._process.stdin
        self._process.stdin.write(f"until {seq}\n")
        self._process.stdin.flush()
        self._hear("waiting")

    def _hear(self, begin: str) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line.startswith(begin):
            raise RuntimeError(f"the readers said {line.strip() or 'nothing'!r} instead of {begin!r}")
        return line


def rows() -> Iterator[Row]:
    """Single events to a thousand, then bursts to five hundred; medians of interleaved rounds."""
    compiler = peer("cc", ["gcc", "libc6-dev"])
    if compiler is None:
        return
    proxy = peer("nginx", ["nginx", "libnginx-mod-nchan"])
    with tempfile.TemporaryDirectory(prefix="hyperhive-bench-") as name:
        folder = Path(name)
        programs = {tool: compiled(compiler, tool, folder) for tool in ("broadcaster", "readers")}
        yield from _single(programs, proxy, folder)
        if proxy is not None:
            yield from _burst(programs, proxy, folder)


def _single(programs: dict[str, Path], proxy: str | None, folder: Path) -> Iterator[Row]:
    with _sides(programs, proxy, folder, CLIENTS) as sides:
        took = _medians(sides, 1, _ROUNDS)
    name = f"one event → {CLIENTS} clients"
    yield _row(name, took, "C", "a C broadcaster", Goal(ratio=3))
    if proxy is not None:
        yield _row(name, took, "nginx", "nginx+nchan", Goal(ratio=1.5))


def _burst(programs: dict[str, Path], proxy: str, folder: Path) -> Iterator[Row]:
    with _sides(programs, proxy, folder, BURST_CLIENTS) as sides:
        took = _medians(sides, BURST, _BURSTS)
    name = f"{BURST} events → {BURST_CLIENTS} clients"
    yield _row(name, took, "nginx", "nginx+nchan", Goal(ratio=0.15))
    yield _row(name, took, "C", "a C broadcaster")


def _row(name: str, took: dict[str, float], other: str, against: str, goal: Goal | None = None) -> Row:
    return Row(name, took["ours"] * 1e3, took[other] * 1e3, "ms", against, goal)


@contextmanager
def _sides(
    programs: dict[str, Path], proxy: str | None, folder: Path, clients: int
) -> Iterator[dict[str, Readers]]:
    with ExitStack() as stack:
        sources = {
            "ours": stack.enter_context(ours()),
            "C": stack.enter_context(bare(programs["broadcaster"])),
        }
        if proxy is not None:
            sources["nginx"] = stack.enter_context(nginx(proxy))
        sides = {}
        for side, source in sources.items():
            sides[side] = Readers(programs["readers"], source, clients, folder)
            stack.callback(sides[side].close)
        yield sides


def _medians(sides: dict[str, Readers], count: int, rounds: int) -> dict[str, float]:
    for readers in sides.values():
        readers.until_all_read(count)
    took: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, readers in sides.items():
            took[side].append(readers.until_all_read(count))
    return {side: statistics.median(times) for side, times in took.items()}


def compiled(compiler: str, tool: str, folder: Path) -> Path:
    """One of our own programs in C."""
    program = folder / tool
    subprocess.run([compiler, "-O2", "-o", str(program), str(_HERE / f"{tool}.c")], check=True)
    return program
