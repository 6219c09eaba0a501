"""What is recorded of MCP servers that did not start."""

from hypothesis import given
from hypothesis import strategies as st

from hyperhive.domain.mcp_servers import MAX_WHY, settle

KNOWN = ("clock", "weather")
LIMIT = "limits.memory does not hold here."
WARNING = "MCP server weather did not start: there is no program 'weather-mcp'."


def test_a_server_that_did_not_start_is_a_warning_and_told() -> None:
    failed = {"weather": "there is no program 'weather-mcp'."}
    assert settle((LIMIT,), failed, known=KNOWN) == (
        (LIMIT, WARNING),
        {"weather": "there is no program 'weather-mcp'"},
    )


def test_it_is_told_once_while_it_stays_so() -> None:
    warnings, news = settle((LIMIT, WARNING), {"weather": "it ended"}, known=KNOWN)
    assert warnings == (LIMIT, "MCP server weather did not start: it ended.")
    assert news == {}


def test_the_warning_goes_when_the_server_starts_and_the_next_failure_is_told_again() -> None:
    warnings, news = settle((LIMIT, WARNING), {}, known=KNOWN)
    assert (warnings, news) == ((LIMIT,), {})
    assert settle(warnings, {"weather": "it ended"}, known=KNOWN)[1] == {"weather": "it ended"}


def test_servers_that_are_not_in_the_config_are_nobodys() -> None:
    assert settle((), {"hyperhive": "x", "a b": "y"}, known=KNOWN) == ((), {})


@given(st.dictionaries(st.sampled_from(KNOWN), st.text()), st.dictionaries(st.sampled_from(KNOWN), st.text()))
def test_whatever_a_harness_says_each_failure_is_one_line_and_told_when_it_is_new(
    first: dict[str, str], second: dict[str, str]
) -> None:
    warnings, news = settle((LIMIT,), first, known=KNOWN)
    assert set(news) == set(first) and len(warnings) == 1 + len(first)
    assert all(text.isprintable() and len(text) < MAX_WHY + 100 for text in warnings)
    warnings, news = settle(warnings, second, known=KNOWN)
    assert set(news) == set(second) - set(first) and len(warnings) == 1 + len(second)
