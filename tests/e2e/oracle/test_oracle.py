"""The oracle's rounds: after each of them everything acknowledged is there, once, in order, and told as it was."""

import time
from collections.abc import Iterator

import pytest

from tests.e2e.hive import RealHive
from tests.e2e.oracle.arena import Arena
from tests.e2e.oracle.stage import harm, rounds, seed, stage

ROUNDS = 100


@pytest.fixture
def real() -> Iterator[RealHive]:
    with stage() as made:
        yield made


def survives(real: RealHive, count: int, usual: int | None = None) -> None:
    """Play the rounds; stop at the first that leaves something wrong behind."""
    arena = Arena(hive=real, seed=seed(usual), harm=harm())
    try:
        arena.begin()
        for number in range(1, count + 1):
            began = time.monotonic()
            wrong = arena.round()
            print(  # noqa: T201 - how far it came, when it fails
                f"round {number}: {', '.join(arena.done)}; {len(arena.history)} calls,"
                f" {time.monotonic() - began:.1f} s",
                flush=True,
            )
            said = "\n".join(wrong[:40])
            assert not wrong, (
                f"HYPERHIVE_SEED={arena.seed}, round {number} ({', '.join(arena.done)}):\n{said}\n"
                f"{real.complaints()}"
            )
    finally:
        arena.end()


@pytest.mark.e2e
@pytest.mark.timeout(600)
def test_what_was_acknowledged_survives_a_few_rounds_of_kills(real: RealHive) -> None:
    survives(real, 2, usual=45300)


@pytest.mark.e2e
@pytest.mark.long
@pytest.mark.timeout(7200)
def test_what_was_acknowledged_survives_a_hundred_rounds_of_kills(real: RealHive) -> None:
    survives(real, rounds(ROUNDS))
