"""A scenario file is checked whole when it is loaded."""

from pathlib import Path

import pytest

from hyperhive.errors import Invalid
from hyperhive.rehearsal.scenario import MAX_SCENARIO, builtin, load, parse

RULE = '[[rule]]\nname = "greet"\n[[rule.step]]\n'


def test_the_built_in_scenario_is_valid() -> None:
    assert builtin().title == "The first hive"


def test_a_scenario_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('title = "Mine"\n' + RULE + 'say = "Hello {agent}"\n')
    assert load(file).rules[0].name == "greet"


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("title = ", "mine.toml: not TOML:"),
        ("pace = " + "9" * 5_000, "mine.toml: not TOML:"),
        ("speed = 1", "mine.toml: speed: unknown key."),
        ("pace = -1", "mine.toml: pace: "),
        ('[[rule]]\nname = "x"\n', 'mine.toml: rule 1 "x", step: Field required.'),
        ("[[rule]]\nmatches = '('\nstep = [{say = 'a'}]", "rule 1, matches: not a regular expression:"),
        (RULE + "tell = 'a'", 'mine.toml: rule 1 "greet", step 1: a step has exactly one of:'),
        (RULE + "say = 'a'\nuse = 'Bash'", 'rule 1 "greet", step 1: a step has exactly one of:'),
        (RULE + "say = 'a'\nloud = true", 'rule 1 "greet", step 1, loud: unknown key.'),
        (RULE + "error = 200", 'rule 1 "greet", step 1, error: '),
        (
            RULE + "use = 'Bash'\nfind = {x = '['}",
            'rule 1 "greet", step 1, find, x: not a regular expression:',
        ),
        (RULE + "say = '{nobody}'", 'rule 1 "greet", step 1: nothing before it sets {nobody};'),
        (RULE + "say = '{1}'", 'rule 1 "greet", step 1: nothing before it sets {1};'),
        (
            RULE + "say = '{out}'\n[[rule.step]]\nuse = 'Bash'\nkeep = 'out'",
            'rule 1 "greet", step 1: nothing before it sets {out};',
        ),
        ("# " + "x" * MAX_SCENARIO, "mine.toml: longer than"),
    ],
)
def test_a_mistake_is_refused_in_one_line_with_file_rule_and_reason(text: str, refusal: str) -> None:
    with pytest.raises(Invalid) as raised:
        parse(text, file="mine.toml")
    assert refusal in raised.value.message
    assert raised.value.message.startswith("mine.toml: ")
    assert "\n" not in raised.value.message


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"absent\.toml: cannot be read: No such file"):
        load(tmp_path / "absent.toml")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bytes.toml"
    file.write_bytes(b"title = '\xff'")
    with pytest.raises(Invalid, match="not UTF-8"):
        load(file)


def test_doubled_braces_are_plain_ones_and_need_no_placeholder() -> None:
    parse(RULE + "say = 'awk {{print}} {agent}'", file="mine.toml")
