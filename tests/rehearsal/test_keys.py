"""A key names its agent, and nobody makes one without the secret."""

import pytest

from hyperhive.rehearsal.keys import Keys


class Clock:
    """A clock that is put forward by hand."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(clock: Clock) -> Keys:
    return Keys(secret=b"a secret of some length", clock=clock)


@pytest.mark.parametrize("agent", ["manager", "a", "a-b-c", "x" * 31])
def test_a_key_names_its_agent(keys: Keys, agent: str) -> None:
    assert keys(keys.of(agent)) == agent


def test_the_same_secret_gives_the_same_keys_and_another_one_others(keys: Keys) -> None:
    assert Keys(secret=b"a secret of some length").of("alice") == keys.of("alice")
    other = Keys(secret=b"another secret of some length")
    assert other.of("alice") != keys.of("alice")
    assert other(keys.of("alice")) is None


def test_a_key_cannot_be_made_into_a_siblings(keys: Keys) -> None:
    assert keys(keys.of("alice").replace("alice", "manager")) is None


@pytest.mark.parametrize(
    "key", ["", "sk-ant-api03-real", "sk-rehearsal-alice-00ff", "sk-rehearsal--" + "0" * 44]
)
def test_what_was_not_made_here_is_nobodys(keys: Keys, key: str) -> None:
    assert keys(key) is None


def test_after_a_refusal_its_agent_alone_gets_a_new_key_and_the_old_one_stays_its_own(
    keys: Keys, clock: Clock
) -> None:
    old, sibling = keys.of("alice"), keys.of("bob")
    keys.refused("alice", 60)
    clock.time += 59
    assert keys.of("alice") == old
    clock.time += 1
    new = keys.of("alice")
    assert new != old
    assert (keys(old), keys(new)) == ("alice", "alice")
    assert keys.of("alice") == new
    assert keys.of("bob") == sibling
