"""What a turn cost, whatever lies where the last total was kept: the agent can write there."""

import os
from pathlib import Path

import pytest

from hyperhive.harness.usage import CostMeter


def test_a_turn_costs_what_its_session_has_cost_more(tmp_path: Path) -> None:
    meter = CostMeter(file=tmp_path / "cost.json")
    assert meter.spent("a", 1.0) == 1.0
    assert meter.spent("a", 1.5) == 0.5
    assert meter.spent("b", 0.25) == 0.25
    assert CostMeter(file=tmp_path / "cost.json").spent("b", 0.75) == 0.5
    assert meter.spent("b", 0.125) == 0.125


@pytest.mark.parametrize(
    "kept",
    [
        "", "[]", "{}", '{"session":"a","total":NaN}', '{"session":"a","total":-1e12}',
        '{"session":"a","total":1e300}',
        "[" * 100_000, '{"session":"a","total":"x"}',
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_no_total(tmp_path: Path, kept: str) -> None:
    (tmp_path / "cost.json").write_text(kept)
    assert CostMeter(file=tmp_path / "cost.json").spent("a", 2.0) == 2.0


@pytest.mark.parametrize("name", ["cost.json", "cost.json.part"])
def test_a_pipe_in_the_way_holds_nothing_up(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    assert CostMeter(file=tmp_path / "cost.json").spent("a", 2.0) == 2.0
    assert CostMeter(file=tmp_path / "cost.json").spent("a", 3.0) == 1.0


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "cost.json.part").symlink_to(tmp_path / "elsewhere")
    CostMeter(file=tmp_path / "cost.json").spent("a", 2.0)
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_in_the_way_costs_a_figure(tmp_path: Path) -> None:
    (tmp_path / "cost.json.part").mkdir()
    assert CostMeter(file=tmp_path / "cost.json").spent("a", 2.0) == 2.0
