"""The routes of the operator's door in words: what each takes and gives. ``openapi.py`` makes the description of it.

A test holds it against the app's own routes: every one of them stands here, and nothing else.
"""

from typing import Any, NamedTuple

from hyperhive.domain.approvals import Against
from hyperhive.domain.diff import Diff
from hyperhive.domain.messages import Message
from hyperhive.domain.views import ApprovalView, DraftView, HiveSnapshot, KeptView, QuestionView
from hyperhive.hive import Action, Operated
from hyperhive.web import agents_api, approvals_api, asked, hive_api, shapes

JSON, TEXT, HTML = "application/json", "text/plain", "text/html"
STREAM, FORM = "text/event-stream", "application/x-www-form-urlencoded"
MOST_WAIT = agents_api.LONGEST_WAIT

Schema = dict[str, Any]


class Query(NamedTuple):
    """A parameter of the query."""

    name: str
    schema: Schema
    help: str
    header: bool = False


class Operation(NamedTuple):
    """What a method does at an address.

    Args:
        does: in a few words.
        gives: type of the content by media type; ``None`` as a type: text, or nothing that has one.
        status: of success; ``more``: further ones that give the same.
        takes: the body, as JSON unless ``form``.
        open: also to who is not logged in.
    """

    does: str
    gives: dict[str, Any]
    status: int = 200
    more: tuple[int, ...] = ()
    takes: Any = None
    query: tuple[Query, ...] = ()
    form: bool = False
    open: bool = False


def _whole(least: int = 0, most: int = asked.HIGHEST) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most}


def _one(*choices: str) -> Schema:
    return {"type": "string", "enum": list(choices)}


NAME: Schema = {"type": "string", "pattern": "^[a-z][a-z0-9-]{0,30}$"}
_FLAG = _one("1", "0", "true", "false")
_WAIT = Query("wait", _whole(most=MOST_WAIT), "seconds to wait for the outcome")
_FOLLOW = Query("follow", _FLAG, "go on with what comes, as server-sent events")
_AFTER = Query("after", _whole(), "only behind this number")
_LAST = Query(
    "Last-Event-ID", {"type": "string", "pattern": "^[0-9]{0,15}$"}, "the same; counts before it", header=True
)
_BEFORE = Query("before", _whole(1), "only older than this number")
_PAGE = {HTML: None}


def _limit(most: int) -> Query:
    return Query("limit", _whole(1, most), "how many")


_HIVE: dict[tuple[str, str], Operation] = {
    ("GET", "/api/sessions"): Operation("which browsers are logged in", {JSON: shapes.Sessions}),
    ("DELETE", "/api/sessions"): Operation("end all of them", {JSON: shapes.Sessions}),
    ("GET", "/healthz"): Operation("alive", {JSON: shapes.Health}, open=True),
    ("GET", "/metrics"): Operation("Prometheus text", {TEXT: None}),
    ("GET", "/api/openapi.json"): Operation("this description", {JSON: dict[str, Any]}),
    ("GET", "/api/state"): Operation("the whole snapshot", {JSON: HiveSnapshot}),
    ("GET", "/api/events"): Operation(
        "events as a stream, or with follow=0 what is recorded",
        {STREAM: None, JSON: shapes.Events},
        query=(
            _AFTER, _LAST, _FOLLOW, _limit(hive_api.MOST_EVENTS),
            Query("kinds", {"type": "string"}, "only these kinds, separated by commas"),
            Query("views", _FLAG, "also frames for pages that show the state"),
        ),
    ),
    ("GET", "/api/messages"): Operation(
        "messages, oldest first", {JSON: shapes.Messages},
        query=(
            Query("with", {"anyOf": [NAME, _one("operator")]}, "only to or from it"),
            _AFTER, _limit(hive_api.MOST_MESSAGES),
        ),
    ),
    ("POST", "/api/messages"): Operation("send a message", {JSON: Message}, 201, takes=hive_api.NewMessage),
    ("POST", "/api/inbox/take"): Operation(
        "the operator's oldest unread messages, read with that", {JSON: shapes.Taken}, takes=hive_api.Take
    ),
    ("POST", "/api/questions/{id}/answer"): Operation("answer it", {JSON: QuestionView}, takes=hive_api.Answer),
    ("POST", "/api/questions/{id}/cancel"): Operation("close it unanswered", {JSON: QuestionView}),
    ("GET", "/api/stats"): Operation(
        "a row a finished turn", {JSON: shapes.Series},
        query=(
            Query("since", _whole(most=hive_api.LONGEST_SINCE), "seconds back"),
            Query("agent", NAME, "of this one alone"),
        ),
    ),
}  # fmt: skip

_DONE = {JSON: Operated}
_AGENT = "/api/agents/{name}"
_AGENTS: dict[tuple[str, str], Operation] = {
    ("POST", "/api/agents"): Operation("spawn an agent", _DONE, 202, takes=agents_api.NewAgent),
    ("DELETE", _AGENT): Operation(
        "end an agent", _DONE, 202, query=(Query("purge", _FLAG, "delete its folders too"),)
    ),
    **{
        ("POST", f"{_AGENT}/{action}"): Operation(str(action), _DONE, 202, more=(200,), query=(_WAIT,))
        for action in Action
    },
    ("GET", f"{_AGENT}/logs"): Operation(
        "its container's log", {TEXT: None, STREAM: None},
        query=(Query("lines", _whole(most=agents_api.MOST_LINES), "how many at first"), _FOLLOW),
    ),
    ("GET", f"{_AGENT}/turns"): Operation(
        "what happened in its turns", {JSON: shapes.Items, STREAM: None},
        query=(_AFTER, _LAST, _limit(agents_api.MOST_ITEMS), _FOLLOW),
    ),
    ("GET", f"{_AGENT}/history"): Operation("its generations, newest first", {JSON: shapes.Generations}),
    ("POST", f"{_AGENT}/rollback"): Operation(
        "go back to a generation", _DONE, 202, more=(200,), takes=agents_api.Back, query=(_WAIT,)
    ),
    ("GET", f"{_AGENT}/build"): Operation(
        "what its last build said", {TEXT: None, STREAM: None}, query=(_FOLLOW,)
    ),
    ("GET", "/api/agent-config/{name}"): Operation(
        "a file its container was built from", {TEXT: None},
        query=(Query("file", _one("agent.toml", "prompt.md"), "which"),),
    ),
    ("POST", "/api/kept/{name}/revive"): Operation("spawn a kept agent again", _DONE, 202),
    ("POST", "/api/kept/{name}/purge"): Operation("delete its folders", {JSON: KeptView}),
}  # fmt: skip

_APPROVAL = "/api/approvals/{id}"
_NOTED: dict[str, Any] = {"gives": {JSON: ApprovalView}, "takes": approvals_api.Note}
_APPROVALS: dict[tuple[str, str], Operation] = {
    ("GET", "/api/approvals"): Operation(
        "those that wait no more, newest first", {JSON: shapes.Approvals},
        query=(_BEFORE, _limit(approvals_api.MOST_APPROVALS)),
    ),
    ("POST", "/api/approvals"): Operation(
        "propose a commit", {JSON: shapes.Proposed}, 201, takes=approvals_api.Proposal
    ),
    ("GET", _APPROVAL): Operation("it, and its thread, oldest first", {JSON: shapes.Thread}),
    ("GET", f"{_APPROVAL}/diff"): Operation(
        "what it would change", {TEXT: None, JSON: Diff},
        query=(
            Query("against", _one(*Against), "compared with what"),
            Query("format", _one("text", "json"), "in which form"),
        ),
    ),
    ("POST", f"{_APPROVAL}/approve"): Operation("approve it", **_NOTED),
    ("POST", f"{_APPROVAL}/deny"): Operation("deny it", **_NOTED),
    ("POST", f"{_APPROVAL}/revise"): Operation("send it back; wants a note", **_NOTED),
    ("POST", f"{_APPROVAL}/withdraw"): Operation(
        "take back what was proposed", {JSON: ApprovalView}, takes=approvals_api.Nothing
    ),
    ("POST", "/api/drafts"): Operation("an agent to be", {JSON: DraftView}, 201, takes=approvals_api.NewDraft),
    ("DELETE", "/api/drafts/{name}"): Operation("discard a draft", {JSON: DraftView}),
}  # fmt: skip

_MCP = {JSON: dict[str, Any], STREAM: None}
_PAGES: dict[tuple[str, str], Operation] = {
    ("GET", "/"): Operation("the dashboard", _PAGE),
    ("GET", "/agents/{name}"): Operation("an agent's page", _PAGE),
    ("GET", "/history"): Operation("what was decided and done", _PAGE),
    ("GET", "/login"): Operation(
        "the form, or with an entry code a session", _PAGE, more=(204, 303), open=True,
        query=(
            Query("entry", {"type": "string"}, "the code of an entry link"),
            Query("next", {"type": "string"}, "where to go on to"),
        ),
    ),
    ("POST", "/login"): Operation(
        "a session for the token", _PAGE, 303, takes=shapes.Entry, form=True, open=True
    ),
    ("POST", "/logout"): Operation("end the session", {}, 303),
    ("GET", "/static/{version}/{path}"): Operation("a file of the pages", {"*/*": None}, more=(304,), open=True),
    ("GET", "/mcp"): Operation("MCP: what the server has to say", _MCP),
    ("POST", "/mcp"): Operation("MCP: a message", _MCP, more=(202,), takes=shapes.Rpc),
    ("DELETE", "/mcp"): Operation("MCP: end a session", {}, more=(204,)),
}  # fmt: skip

OPERATIONS = {**_HIVE, **_AGENTS, **_APPROVALS, **_PAGES}
"""By method and address."""
