"""docs/faults.md promises nothing that no test shows."""

import re

import pytest

from tests.architecture.source import ROOT

_PAGE = (ROOT / "docs" / "faults.md").read_text()
_ROWS = [line for line in _PAGE.splitlines() if line.startswith("| ") and "](../tests/" in line]
_SHOWN = sorted(set(re.findall(r"\[([^\]]+)\]\(\.\./(tests/[^)]+)\)", _PAGE)))


@pytest.mark.parametrize(("words", "file"), _SHOWN, ids=[words for words, _ in _SHOWN])
def test_every_test_that_the_page_names_exists(words: str, file: str) -> None:
    name = words.replace(" ", "_")
    assert re.search(rf"^(async )?def test_{name}\(", (ROOT / file).read_text(), re.MULTILINE), name


def test_every_fault_has_a_test() -> None:
    tables = [
        line for line in _PAGE.splitlines() if line.startswith("| ") and not line.startswith("| fault ")
    ]
    assert [line for line in tables if line not in _ROWS] == []
    assert len(_ROWS) > 80
