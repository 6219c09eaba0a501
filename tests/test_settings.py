"""Where a setting comes from: flags, then the environment, then the home's file."""

from dataclasses import fields
from pathlib import Path

import pytest

from hyperhive.settings import BadSettings, Settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for setting in fields(Settings):
        monkeypatch.delenv(f"HYPERHIVE_{setting.name.upper()}", raising=False)
    (tmp_path / "hyperhive.toml").write_text(
        'port = 1\ntick = 2\nallowed_hosts = ["file.lan"]\nname = "file"\n'
    )
    return tmp_path


def test_a_flag_goes_before_a_variable_and_that_before_the_file(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYPERHIVE_PORT", "3")
    monkeypatch.setenv("HYPERHIVE_TICK", "4.5")
    found = Settings(home=home, port=5)
    assert (found.port, found.tick, found.name, found.builds) == (5, 4.5, "file", 4)


def test_the_file_is_the_one_of_the_home_that_a_variable_names(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYPERHIVE_HOME", str(home))
    found = Settings()
    assert (found.home, found.port, found.allowed_hosts) == (home, 1, ("file.lan",))


def test_a_list_in_a_variable_is_json(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERHIVE_ALLOWED_HOSTS", '["a.lan", "b.lan"]')
    assert Settings(home=home).allowed_hosts == ("a.lan", "b.lan")
    for bad in ("a.lan", '"a.lan"', "7", '{"a": 1}', "[1]", ""):
        monkeypatch.setenv("HYPERHIVE_ALLOWED_HOSTS", bad)
        with pytest.raises(BadSettings, match="allowed_hosts"):
            Settings(home=home)


@pytest.mark.parametrize("host", ["", "x" * 64, "a..b", "\u00fc" * 60, "a\0b"])
def test_what_can_be_no_host_is_told_before_the_resolver_fails_on_it(home: Path, host: str) -> None:
    with pytest.raises(BadSettings, match="neither an address nor the name of a host"):
        Settings(home=home, host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "b\u00fccher.example", "hive.lan."])
def test_an_address_and_the_name_of_a_host_may_be_set(home: Path, host: str) -> None:
    assert Settings(home=home, host=host).host == host


def test_a_variable_may_be_in_small_letters_and_one_that_is_none_of_ours_is_left_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("hyperhive_rehearse", "true")
    monkeypatch.setenv("HYPERHIVE_COLOUR", "blue")
    assert Settings(home=home).rehearse


def test_a_default_is_looked_at_like_any_other_value(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/x/\x1b[31m")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(BadSettings, match="home"):
        Settings()


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"port": "65535"}, 65_535),
        ({"port": 0}, 0),
        ({"builds": 2.0}, 2),
        ({"tick": "0.5"}, 0.5),
        ({"warm": 0}, 0.0),
        ({"public": "Yes"}, True),
        ({"rehearse": "0"}, False),
        ({"claude": "bin/claude"}, Path("bin/claude")),
    ],
)
def test_a_value_is_read_from_text_as_it_is_from_a_file(
    home: Path, given: dict[str, object], found: object
) -> None:
    (name,) = given
    value = getattr(Settings(home=home, **given), name)
    assert (value, type(value)) == (found, type(found))


@pytest.mark.parametrize(
    "given",
    [
        *({"port": bad} for bad in (-1, 65_536, "", "7e9", 1.5, True, None, [7])),
        *({"tick": bad} for bad in (0, -1, "nan", "inf", 3601, "1e400")),
        *({"rehearse": bad} for bad in ("perhaps", 2, None)),
        *({"name": bad} for bad in ("x" * 65, 3, "\udcff")),
        *({"host": bad} for bad in (7000, True, ["127.0.0.1"], "\udcff")),
        *({"allowed_hosts": bad} for bad in ("[" * 100_000, None)),
        *({"runtime": bad} for bad in ("docker", ["auto"])),
        {"scenario": 3},
        {"colour": "blue"},
    ],
    ids=lambda given: ascii(given)[:60],
)
def test_a_value_that_is_none_is_told_by_its_name(home: Path, given: dict[str, object]) -> None:
    (name,) = given
    with pytest.raises(BadSettings, match=f"Setting '{name}': .+; see docs/operate.md") as refused:
        Settings(home=home, **given)
    assert [*refused.value.reasons] == [name]


def test_all_that_is_wrong_is_told_at_once(home: Path) -> None:
    with pytest.raises(BadSettings) as refused:
        Settings(home=home, port=-1, colour="blue")
    assert {*refused.value.reasons} == {"port", "colour"}
