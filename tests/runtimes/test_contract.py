"""What holds for every runtime, the fake included."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from hyperhive.domain.records import Handle
from hyperhive.errors import Refused
from hyperhive.runtimes import proc
from tests.runtimes.lab import IDLE, Lab


def test_it_says_that_it_works(lab: Lab) -> None:
    assert lab.runtime.probe().works


def test_a_started_container_runs_and_its_handle_names_its_leader(lab: Lab) -> None:
    handle = lab.start(lab.spec(IDLE))

    assert lab.runtime.alive(handle)
    assert handle.runtime == lab.runtime.name
    assert handle.start_ticks == proc.start_ticks(handle.pid)
    assert handle.boot == proc.boot_id()


def test_it_is_found_with_its_record_and_without(lab: Lab) -> None:
    spec = lab.spec(IDLE)
    handle = lab.start(spec)

    assert lab.runtime.find(spec.folder, handle) == handle
    assert lab.runtime.find(spec.folder, None) == handle


def test_a_new_runtime_finds_what_an_earlier_one_started(lab: Lab) -> None:
    spec = lab.spec(IDLE)
    handle = lab.start(spec)

    assert type(lab.runtime)().find(spec.folder, None) == handle


def test_nothing_is_found_where_nothing_was_started(lab: Lab) -> None:
    assert lab.runtime.find(lab.root / "nowhere", None) is None


def test_an_ended_container_is_neither_alive_nor_found(lab: Lab) -> None:
    spec = lab.spec(IDLE)
    handle = lab.start(spec)
    lab.runtime.stop(handle, grace=5)

    assert not lab.runtime.alive(handle)
    assert lab.runtime.find(spec.folder, handle) is None
    assert lab.runtime.find(spec.folder, None) is None


def test_another_process_with_the_same_number_is_not_mistaken_for_it(lab: Lab) -> None:
    spec = lab.spec(IDLE)
    handle = lab.start(spec)
    lab.runtime.stop(handle, grace=5)
    ours = proc.start_ticks(os.getpid())
    assert ours is not None
    recycled = replace(handle, pid=os.getpid(), start_ticks=ours - 1)

    assert not lab.runtime.alive(recycled)
    assert lab.runtime.find(spec.folder, recycled) is None
    lab.runtime.stop(recycled, grace=0)  # or this test would be killed


def test_a_handle_from_before_a_reboot_names_nothing(lab: Lab) -> None:
    handle = lab.start(lab.spec(IDLE))

    assert not lab.runtime.alive(replace(handle, boot="another"))


def test_starting_it_twice_is_refused(lab: Lab) -> None:
    spec = lab.spec(IDLE)
    handle = lab.start(spec)

    with pytest.raises(Refused, match="already runs"):
        lab.runtime.start(spec, deadline=5)
    assert lab.runtime.alive(handle)


def test_stopping_what_has_ended_is_no_error(lab: Lab) -> None:
    handle = lab.start(lab.spec(IDLE))
    lab.runtime.stop(handle, grace=5)

    lab.runtime.stop(handle, grace=5)


def test_a_killed_leader_is_told_in_words(lab: Lab) -> None:
    spec = lab.spec(IDLE)
    handle = lab.start(spec)
    os.kill(handle.pid, signal.SIGKILL)

    assert lab.ended(handle)
    assert lab.runtime.exit_note(spec.folder, handle) == "killed by SIGKILL"


def test_nothing_is_told_about_the_end_of_what_runs(lab: Lab) -> None:
    spec = lab.spec(IDLE)
    handle = lab.start(spec)

    assert lab.runtime.exit_note(spec.folder, handle) is None


def test_after_a_crash_and_a_sweep_it_starts_again(lab: Lab) -> None:
    spec = lab.spec(IDLE)
    first = lab.start(spec)
    os.kill(first.pid, signal.SIGKILL)
    lab.ended(first)
    lab.runtime.sweep(spec.folder, spec.name)

    second = lab.start(spec)
    assert lab.runtime.alive(second)
    assert not lab.runtime.alive(first)


def test_a_sweep_leaves_alone_what_runs(lab: Lab) -> None:
    spec = lab.spec(IDLE)
    handle = lab.start(spec)
    lab.runtime.sweep(spec.folder, spec.name)

    assert lab.runtime.find(spec.folder, None) == handle


def test_many_start_and_stop_side_by_side(lab: Lab) -> None:
    specs = [lab.spec(IDLE, name=f"agent-{number}") for number in range(8)]

    def there_and_back(handle: Handle) -> bool:
        lab.runtime.stop(handle, grace=5)
        return lab.runtime.alive(handle)

    with ThreadPoolExecutor(8) as pool:
        handles = list(pool.map(lab.start, specs))
        assert len({handle.pid for handle in handles}) == len(specs)
        assert all(map(lab.runtime.alive, handles))
        assert not any(pool.map(there_and_back, handles))


def test_no_zombie_is_left_by_what_ended(lab: Lab) -> None:
    for _ in range(3):
        lab.runtime.stop(lab.start(lab.spec(IDLE)), grace=5)

    lab.runtime.find(lab.root, None)
    dead = [pid for pid in proc.children(os.getpid()) if (s := proc.stat(pid)) is not None and s.dead]
    assert not dead
