"""Which runtime is used, and what is said when one does not work."""

from pathlib import Path

import pytest

from hyperhive.errors import Refused
from hyperhive.runtimes.base import Probe
from hyperhive.runtimes.bubblewrap import Bubblewrap
from hyperhive.runtimes.choose import all_runtimes, choose
from hyperhive.runtimes.process import Process
from hyperhive.runtimes.refusals import explain, install_bwrap
from tests.fakes.runtime import FakeRuntime

_BROKEN = Probe(works=False, reason="the moon is full", fix="wait")


def test_the_strongest_comes_first() -> None:
    assert [runtime.name for runtime in all_runtimes()] == ["bubblewrap", "process"]
    assert [runtime.confined for runtime in all_runtimes()] == [True, False]


def test_auto_takes_the_first_that_works() -> None:
    strong, weak = FakeRuntime(name="bubblewrap", probe=_BROKEN), FakeRuntime()

    assert choose("auto", (strong, weak)) is weak
    assert choose("auto", (FakeRuntime(name="bubblewrap"), weak)).name == "bubblewrap"


def test_one_asked_for_by_name_is_taken_or_refused_with_reason_and_fix() -> None:
    strong, weak = FakeRuntime(name="bubblewrap", probe=_BROKEN), FakeRuntime()

    assert choose("process", (strong, weak)) is weak
    with pytest.raises(Refused, match=r"bubblewrap.*the moon is full; wait"):
        choose("bubblewrap", (strong, weak))


def test_when_none_works_all_reasons_are_told() -> None:
    with pytest.raises(Refused, match="No runtime works here: bubblewrap: the moon is full"):
        choose("auto", (FakeRuntime(name="bubblewrap", probe=_BROKEN),))


@pytest.mark.parametrize("name", ["nixos", "nspawn"])
def test_one_that_is_not_built_yet_is_refused(name: str) -> None:
    with pytest.raises(Refused, match="not available in this version; use one of: auto, bubblewrap, process"):
        choose(name, (Bubblewrap(), Process()))


def test_a_missing_bwrap_is_explained_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    probe = Bubblewrap().probe()

    assert not probe.works
    assert "not installed" in probe.reason
    assert "bubblewrap" in probe.fix


@pytest.mark.parametrize(
    ("tool", "command"),
    [
        ("apt-get", "apt-get install bubblewrap"),
        ("dnf", "dnf install bubblewrap"),
        ("pacman", "pacman -S bubblewrap"),
        ("zypper", "zypper install bubblewrap"),
        ("apk", "apk add bubblewrap"),
        ("nix-env", "nix-env -iA nixpkgs.bubblewrap"),
    ],
)
def test_the_command_that_installs_it_is_this_systems(
    tool: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / tool).write_text("#!/bin/sh\n")
    (tmp_path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert command in install_bwrap()


@pytest.mark.parametrize(
    ("setting", "value", "said", "word"),
    [
        ("kernel/unprivileged_userns_clone", "0", "", "only for root"),
        ("user/max_user_namespaces", "0", "", "switched off"),
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "bwrap: setting up uid map: Permission denied",
            "AppArmor",
        ),
        ("other", "1", "bwrap: Can't mount proc on /newroot/proc: Operation not permitted", "no /proc"),
        ("other", "1", "bwrap: No permissions to create new namespace", "not allowed here"),
        ("other", "1", "bwrap: Unknown option --perms", "Unknown option --perms"),
    ],
)
def test_a_refusal_of_the_kernel_is_explained(
    setting: str, value: str, said: str, word: str, tmp_path: Path
) -> None:
    (tmp_path / setting).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / setting).write_text(value)
    probe = explain(said, sysctls=tmp_path)

    assert not probe.works
    assert word in probe.reason
    assert probe.fix


def test_a_bwrap_that_fails_is_found_out_by_trying(tmp_path: Path) -> None:
    helper = tmp_path / "bwrap"
    helper.write_text(
        "#!/bin/sh\necho 'bwrap: Creating new namespace failed: Operation not permitted' >&2\nexit 1\n"
    )
    helper.chmod(0o755)
    probe = Bubblewrap(bwrap=helper).probe()

    assert not probe.works
    assert probe.fix
