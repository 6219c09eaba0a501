"""What holds for every runtime, the fake included."""

import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from hyperhive.domain.limits import Limits
from hyperhive.domain.records import Handle
from hyperhive.errors import Broken, Refused
from hyperhive.runtimes import proc
from hyperhive.runtimes.base import Bind
from tests.runtimes.lab import IDLE, Lab

pytestmark = pytest.mark.slow


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
    recycled = handle._replace(pid=os.getpid(), start_ticks=ours - 1)

    assert not lab.runtime.alive(recycled)
    assert lab.runtime.find(spec.folder, recycled) is None
    lab.runtime.stop(recycled, grace=0)  # or this test would be killed


def test_a_handle_from_before_a_reboot_names_nothing(lab: Lab) -> None:
    handle = lab.start(lab.spec(IDLE))

    assert not lab.runtime.alive(handle._replace(boot="another"))


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


def _zombies() -> set[int]:
    children = proc.children(os.getpid())
    return {pid for pid in children if (found := proc.stat(pid)) is not None and found.dead}


def test_no_zombie_is_left_by_what_ended(lab: Lab) -> None:
    before = _zombies()
    for _ in range(3):
        lab.runtime.stop(lab.start(lab.spec(IDLE)), grace=5)

    lab.runtime.find(lab.root, None)
    assert not _zombies() - before


def _folders(lab: Lab, *names: str) -> tuple[Path, ...]:
    found = tuple(lab.root / "agents" / name for name in names)
    for folder in found:
        (folder / "inner").mkdir(parents=True, exist_ok=True)
        (folder / "note").write_text(folder.name)
    return found


def _seen(lab: Lab, handle: Handle, place: Path) -> list[str]:
    """What lies in a folder, as something inside sees it."""
    root = (
        Path("/")
        if lab.runtime.inside(lab.binds, lab.state) == lab.state
        else Path(f"/proc/{handle.pid}/root")
    )
    folder = root / place.relative_to("/")
    return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []


def test_no_limits_hold_anyway(lab: Lab) -> None:
    assert lab.runtime.unheld(Limits()) == ()


def test_a_limit_that_does_not_hold_is_named_in_a_sentence(lab: Lab) -> None:
    for limit in (Limits(memory="1G"), Limits(cpus=1.5), Limits(tasks=64)):
        (name,) = limit.model_dump(exclude_none=True)
        for sentence in lab.runtime.unheld(limit):
            assert sentence.startswith(f"limits.{name} does not hold under {lab.runtime.name}")
            assert sentence.endswith(".")


def test_exactly_the_wanted_folders_are_shown_while_it_runs(lab: Lab) -> None:
    one, two = _folders(lab, "one", "two")
    spec = replace(lab.spec(IDLE), shares=True)
    handle = lab.start(spec)
    place = lab.runtime.shared(spec.folder)
    assert _seen(lab, handle, place) == []

    lab.runtime.share(
        spec.folder, handle, (Bind(one, Path("bob/config"), writable=True), Bind(two, Path("bob/state")))
    )
    assert _seen(lab, handle, place) == ["bob"]
    assert _seen(lab, handle, place / "bob") == ["config", "state"]
    assert _seen(lab, handle, place / "bob/config") == ["inner", "note"]

    lab.runtime.share(spec.folder, handle, (Bind(two, Path("carol/state")),))
    assert _seen(lab, handle, place) == ["carol"]
    assert _seen(lab, handle, place / "carol/state") == ["inner", "note"]

    lab.runtime.share(spec.folder, handle, ())
    assert _seen(lab, handle, place) == []
    assert (one / "note").read_text() == "one"


def test_showing_the_same_again_changes_nothing(lab: Lab) -> None:
    (one,) = _folders(lab, "one")
    spec = replace(lab.spec(IDLE), shares=True)
    handle = lab.start(spec)
    for _ in range(3):
        lab.runtime.share(spec.folder, handle, (Bind(one, Path("bob/config"), writable=True),))

    assert _seen(lab, handle, lab.runtime.shared(spec.folder) / "bob/config") == ["inner", "note"]


def test_another_folder_takes_the_place_of_the_first(lab: Lab) -> None:
    one, two = _folders(lab, "one", "two")
    (two / "second").touch()
    spec = replace(lab.spec(IDLE), shares=True)
    handle = lab.start(spec)
    for folder in (one, two):
        lab.runtime.share(spec.folder, handle, (Bind(folder, Path("bob/config")),))

    assert _seen(lab, handle, lab.runtime.shared(spec.folder) / "bob/config") == ["inner", "note", "second"]


def test_what_is_no_folder_is_named_and_the_others_are_shown(lab: Lab) -> None:
    one, two = _folders(lab, "one", "two")
    agents = lab.root / "agents"
    (agents / "link").symlink_to(two)
    (agents / "file").touch()
    bad = (agents / "missing", agents / "link", agents / "link/inner", agents / "file")
    spec = replace(lab.spec(IDLE), shares=True)
    handle = lab.start(spec)

    shares = (
        *(Bind(host, Path(f"bad{n}/config")) for n, host in enumerate(bad)),
        Bind(one, Path("b/config")),
    )
    with pytest.raises(Broken) as told:
        lab.runtime.share(spec.folder, handle, shares)
    assert told.value.message.endswith(f": {', '.join(map(str, bad))}.")
    assert _seen(lab, handle, lab.runtime.shared(spec.folder)) == ["b"]


def test_a_place_outside_is_refused(lab: Lab) -> None:
    (one,) = _folders(lab, "one")
    spec = replace(lab.spec(IDLE), shares=True)
    handle = lab.start(spec)
    places = ("/etc", "../x", "a/../../x", ".", "")

    for place in places:
        with pytest.raises(Broken, match="no place"):
            lab.runtime.share(spec.folder, handle, (Bind(one, Path(place)),))
    for first, second in (("a", "a/b"), ("a/b", "a/b")):
        with pytest.raises(Broken):
            lab.runtime.share(spec.folder, handle, (Bind(one, Path(first)), Bind(one, Path(second))))
    assert _seen(lab, handle, lab.runtime.shared(spec.folder)) == []


def test_nothing_is_shown_in_one_that_was_started_without_shares(lab: Lab) -> None:
    (one,) = _folders(lab, "one")
    spec = lab.spec(IDLE)
    handle = lab.start(spec)

    with pytest.raises(Broken, match="without shares"):
        lab.runtime.share(spec.folder, handle, (Bind(one, Path("bob/config")),))
    assert lab.runtime.alive(handle)


def test_nothing_is_shown_in_one_that_has_ended(lab: Lab) -> None:
    spec = replace(lab.spec(IDLE), shares=True)
    handle = lab.start(spec)
    lab.runtime.stop(handle, grace=5)

    with pytest.raises(Broken, match="has ended"):
        lab.runtime.share(spec.folder, handle, ())


def test_a_new_start_shows_nothing_of_before(lab: Lab) -> None:
    (one,) = _folders(lab, "one")
    spec = replace(lab.spec(IDLE), shares=True)
    first = lab.start(spec)
    lab.runtime.share(spec.folder, first, (Bind(one, Path("bob/config")),))
    lab.runtime.stop(first, grace=5)

    second = lab.start(spec)
    assert _seen(lab, second, lab.runtime.shared(spec.folder)) == []


def test_a_shown_folder_can_be_removed_on_the_host(lab: Lab) -> None:
    one, two = _folders(lab, "one", "two")
    spec = replace(lab.spec(IDLE), shares=True)
    handle = lab.start(spec)
    lab.runtime.share(spec.folder, handle, (Bind(one, Path("a/config")), Bind(two, Path("b/config"))))
    shutil.rmtree(one)
    assert not one.exists()

    lab.runtime.share(spec.folder, handle, (Bind(two, Path("b/config")),))
    assert _seen(lab, handle, lab.runtime.shared(spec.folder)) == ["b"]


def test_a_new_runtime_goes_on_showing(lab: Lab) -> None:
    one, two = _folders(lab, "one", "two")
    spec = replace(lab.spec(IDLE), shares=True)
    handle = lab.start(spec)
    lab.runtime.share(spec.folder, handle, (Bind(one, Path("a/config")),))

    type(lab.runtime)().share(spec.folder, handle, (Bind(two, Path("b/config")),))
    assert _seen(lab, handle, lab.runtime.shared(spec.folder)) == ["b"]
