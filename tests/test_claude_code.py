"""Finding the Claude Code binary: the newest, the one chosen, remembered versions, clear refusals."""

from pathlib import Path

import pytest

from hyperhive import claude_code
from hyperhive.claude_code import find_claude
from hyperhive.errors import Broken, Refused


def _put(path: Path, version: str, code: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho asked >> {path}.asked\necho '{version} (Claude Code)'\nexit {code}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Where the SDK's binary and the one on PATH would be; neither is there yet."""
    bundled, on_path = tmp_path / "sdk/claude", tmp_path / "bin/claude"
    monkeypatch.setattr(claude_code, "_bundled", lambda: bundled)
    monkeypatch.setenv("PATH", f"{on_path.parent}:/usr/bin:/bin")
    return bundled, on_path


@pytest.mark.parametrize(
    ("bundled", "on_path", "winner"),
    [
        ("2.1.330", "2.1.99", 0),
        ("2.1.330", "2.2.0", 1),
        ("2.1.330", "10.0.0", 1),
        ("2.1.330", "2.1.330", 0),
        ("2.1.330", None, 0),
        (None, "2.1.330", 1),
    ],
)
def test_the_newer_one_wins_and_the_sdks_own_on_a_tie(
    places: tuple[Path, Path], bundled: str | None, on_path: str | None, winner: int
) -> None:
    for place, version in zip(places, (bundled, on_path), strict=True):
        if version is not None:
            _put(place, version)
    assert find_claude(None) == (places[winner], (bundled, on_path)[winner])


def test_the_one_that_was_chosen_wins_over_all(places: tuple[Path, Path], tmp_path: Path) -> None:
    _put(places[0], "9.9.9")
    chosen = _put(tmp_path / "mine", "1.0.0")
    assert find_claude(chosen) == (chosen, "1.0.0")


@pytest.mark.parametrize(("version", "code"), [("no number", 0), ("2.1.330", 1)])
def test_what_is_no_claude_code_is_refused(
    places: tuple[Path, Path], tmp_path: Path, version: str, code: int
) -> None:
    with pytest.raises(Refused, match="is no Claude Code"):
        find_claude(_put(tmp_path / "mine", version, code))
    with pytest.raises(Refused, match="is no Claude Code"):
        find_claude(tmp_path / "missing")


def test_none_at_all_says_what_to_do(places: tuple[Path, Path]) -> None:
    with pytest.raises(Broken, match="make up"):
        find_claude(None)


def test_a_version_is_asked_once_until_the_binary_changes(places: tuple[Path, Path], tmp_path: Path) -> None:
    cache = tmp_path / "versions.json"
    binary = _put(places[0], "2.1.330")
    for _ in range(3):
        assert find_claude(None, cache=cache) == (binary, "2.1.330")
    asked = Path(f"{binary}.asked")
    assert asked.read_text().count("asked") == 1
    _put(binary, "2.1.3310")
    assert find_claude(None, cache=cache) == (binary, "2.1.3310")
    assert asked.read_text().count("asked") == 2


@pytest.mark.parametrize("content", ["", "[]", "not json", '{"x": 1}'])
def test_a_broken_cache_is_no_obstacle(places: tuple[Path, Path], tmp_path: Path, content: str) -> None:
    cache = tmp_path / "versions.json"
    cache.write_text(content)
    binary = _put(places[0], "2.1.330")
    assert find_claude(None, cache=cache) == (binary, "2.1.330")
    assert find_claude(None, cache=tmp_path / "missing/versions.json") == (binary, "2.1.330")


def test_a_binary_that_never_answers_is_given_up(
    places: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claude_code, "VERSION_DEADLINE", 0.1)
    hanging = tmp_path / "hanging"
    hanging.write_text("#!/bin/sh\nexec sleep 30\n")
    hanging.chmod(0o755)
    with pytest.raises(Refused):
        find_claude(hanging)
