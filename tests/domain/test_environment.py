"""Environment files of the operator's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive.domain.environment import MAX_ENVIRONMENT, parse
from hyperhive.errors import Invalid

FILE = r"""
# Claude on another provider
CLAUDE_CODE_USE_BEDROCK=1
  AWS_REGION = eu-central-1
AWS_SECRET_ACCESS_KEY=ab/c+d=e#f
SINGLE='as $written "here" \n # too'
DOUBLE="a \"b\" \$c \\ \n d"
EMPTY=
"""


def test_a_file_is_read_as_lines_of_names_and_values() -> None:
    assert parse(FILE) == {
        "CLAUDE_CODE_USE_BEDROCK": "1",
        "AWS_REGION": "eu-central-1",
        "AWS_SECRET_ACCESS_KEY": "ab/c+d=e#f",
        "SINGLE": r'as $written "here" \n # too',
        "DOUBLE": r'a "b" $c \ \n d',
        "EMPTY": "",
    }


def test_lines_may_end_as_on_windows() -> None:
    assert parse("A=1\r\nB='2'\r\n") == {"A": "1", "B": "2"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("JUST_A_NAME", "not KEY=value"),
        ("export A=1", "write it without export"),
        ("1A=1", "a name is made of letters, digits and _"),
        ("A B=1", "a name is made of letters, digits and _"),
        ("=1", "a name is made of letters, digits and _"),
        ("A='1", "the quotes must close at the end of the line"),
        ('A="1\\"', "the quotes must close at the end of the line"),
        ("A='1' # one", "the quotes must close at the end of the line"),
        ("A=1 # one", "put a value that holds a #"),
        ("A=\x1b[31m", "A holds a control character"),
        ("A=\0", "A holds a control character"),
        ("A=1\nA=2", "A is set a second time"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_line_and_without_its_value(line: str, reason: str) -> None:
    with pytest.raises(Invalid, match=r"^bedrock\.env: line [12]: ") as refusal:
        parse(line, file="bedrock.env")
    assert reason in refusal.value.message


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "HOME",
        "LD_PRELOAD",
        "PYTHONPATH",
        "NODE_OPTIONS",
        "HYPERHIVE_HOME",
        "CLAUDE_CONFIG_DIR",
        "IS_SANDBOX",
        "BASH_ENV",
        "ENV",
        "ld_preload",
    ],
)
def test_what_decides_how_the_containers_programs_run_cannot_be_set(name: str) -> None:
    with pytest.raises(Invalid, match=f"line 1: {name} cannot be set here"):
        parse(f"{name}=secret")


def test_a_file_has_a_bound() -> None:
    with pytest.raises(Invalid, match="longer than"):
        parse(f"A={'x' * MAX_ENVIRONMENT}")


@given(st.text(alphabet=st.characters(exclude_categories=("C", "Z")) | st.just(" "), max_size=50))
def test_what_is_in_single_quotes_comes_back_as_written(value: str) -> None:
    value = value.replace("'", "")
    assert parse(f"A='{value}'") == {"A": value}


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        assert all(name.isidentifier() for name in parse(text))
    except Invalid as refusal:
        assert refusal.message.startswith("environment: ")
