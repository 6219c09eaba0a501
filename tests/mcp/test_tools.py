"""Every tool of every surface, over every door, in both protocol generations."""

import pytest
from mcp import Client

from hyperhive.errors import Broken, Deadline
from hyperhive.hive import Action
from tests.fakes.hive import Call, FakeHive
from tests.fakes.samples import agent_view
from tests.mcp.doors import AGENT_TOOLS, MANAGER_TOOLS, MESSAGING, Connect, in_memory, refusal, structured

pytestmark = pytest.mark.filterwarnings("error")


async def names(client: Client) -> list[str]:
    return [tool.name for tool in (await client.list_tools()).tools]


async def test_each_surface_has_exactly_its_own_tools(connect: Connect) -> None:
    async with connect("alice") as client:
        assert await names(client) == AGENT_TOOLS
    async with connect("manager") as client:
        assert await names(client) == AGENT_TOOLS + MANAGER_TOOLS
    async with connect("operator") as client:
        assert await names(client) == MESSAGING + MANAGER_TOOLS


async def test_every_tool_says_what_it_does_takes_and_returns(connect: Connect) -> None:
    async with connect("manager") as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    for tool in tools.values():
        assert tool.description and len(tool.description) < 160
        assert tool.input_schema["additionalProperties"] is False
        assert tool.output_schema is not None
        assert tool.annotations is not None
        assert tool.annotations.open_world_hint is False
    reading = {name for name, tool in tools.items() if tool.annotations and tool.annotations.read_only_hint}
    ending = {name for name, tool in tools.items() if tool.annotations and tool.annotations.destructive_hint}
    assert reading == {"whoami", "list_agents", "get_logs", "list_requests"}
    assert ending == {"stop", "restart", "update"}


async def test_a_message_travels_between_two_agents(connect: Connect) -> None:
    async with connect("alice") as client:
        sent = structured(await client.call_tool("send", {"to": "bob", "body": "count the files"}))
        assert sent == {"id": 1, "to": "bob"}
    async with connect("bob") as client:
        assert structured(await client.call_tool("whoami", {}))["role"] == "agent"
        (letter,) = structured(await client.call_tool("recv", {}))["messages"]
        assert (letter["id"], letter["from"], letter["body"]) == (1, "alice", "count the files")
        assert structured(await client.call_tool("recv", {}))["messages"] == []


async def test_recv_takes_as_many_as_asked_for_and_waits_for_the_first(
    connect: Connect, hive: FakeHive
) -> None:
    for n in range(3):
        await hive.send(sender="alice", to="bob", body=f"{n}")
    async with connect("bob") as client:
        taken = structured(await client.call_tool("recv", {"max": 2}))["messages"]
        assert [letter["body"] for letter in taken] == ["0", "1"]
        taken = structured(await client.call_tool("recv", {"wait_seconds": 180, "max": 32}))["messages"]
        assert [letter["body"] for letter in taken] == ["2"]
    assert [call.args["wait"] for call in hive.calls if call.verb == "recv"] == [0, 180]


async def test_a_question_reaches_the_operator(connect: Connect, hive: FakeHive) -> None:
    asked = {"question": "Which region?", "options": ["Berlin", "Hamburg"], "multi": True, "ttl_seconds": 60}
    async with connect("alice") as client:
        receipt = structured(await client.call_tool("ask_operator", asked))
        plain = structured(await client.call_tool("ask_operator", {"question": "May I?"}))
    assert receipt["deadline"] is not None and plain["deadline"] is None
    first, second = hive.snapshot().questions
    assert (first.id, first.agent, first.options, first.multi) == (1, "alice", ("Berlin", "Hamburg"), True)
    assert (second.question, second.options, second.multi) == ("May I?", (), False)


async def test_the_manager_sees_and_runs_the_fleet(connect: Connect, hive: FakeHive) -> None:
    hive.append_log("bob", "hello from bob")
    async with connect("manager") as client:
        agents = structured(await client.call_tool("list_agents", {}))["agents"]
        assert [(a["name"], a["container"], a["turn"]) for a in agents][1:] == [
            ("alice", "running", "idle"),
            ("bob", "running", "idle"),
        ]
        for verb in ("stop", "start", "restart", "update"):
            done = structured(await client.call_tool(verb, {"name": "bob"}))
            assert done == {"agent": "bob", "ok": True, "transient": None, "note": ""}
        log = structured(await client.call_tool("get_logs", {"name": "bob", "lines": 5}))
        assert log == {"agent": "bob", "text": "hello from bob\n", "cut": False}
    did = [(c.args["action"], c.args["by"], c.args["wait"]) for c in hive.calls if c.verb == "operate"]
    assert did == [
        (Action.STOP, "manager", 60.0),
        (Action.START, "manager", 60.0),
        (Action.RESTART, "manager", 60.0),
        (Action.UPDATE, "manager", 120.0),
    ]


async def test_what_the_operators_client_does_is_the_operators(connect: Connect, hive: FakeHive) -> None:
    await hive.send(sender="alice", to="operator", body="done")
    async with connect("operator") as client:
        me = structured(await client.call_tool("whoami", {}))
        assert me == {"name": "operator", "role": "operator", "hive": "hive", "unread": 1}
        (letter,) = structured(await client.call_tool("recv", {}))["messages"]
        assert letter["from"] == "alice"
        structured(await client.call_tool("send", {"to": "manager", "body": "well done"}))
        structured(await client.call_tool("update", {"name": "manager"}))
        structured(await client.call_tool("request_spawn", {"name": "carol"}))
    who = [c.args.get("by") or c.args.get("sender") or c.args.get("agent") for c in hive.calls[1:]]
    assert who == ["operator"] * 4


@pytest.mark.parametrize("verb", ["start", "stop", "restart", "update"])
async def test_the_manager_does_nothing_of_the_kind_to_itself(
    connect: Connect, hive: FakeHive, verb: str
) -> None:
    async with connect("manager") as client:
        said = refusal(await client.call_tool(verb, {"name": "manager"}))
    assert said == f"You cannot {verb} yourself; the operator does that: ask with ask_operator."
    assert hive.calls == []


async def test_a_long_log_is_cut_at_its_beginning(hive: FakeHive) -> None:
    for n in range(1000):
        hive.append_log("bob", f"{n:04d} " + "x" * 200)
    async with in_memory(hive, "manager", "auto") as client:
        log = structured(await client.call_tool("get_logs", {"name": "bob", "lines": 1000}))
    assert log["cut"] and len(log["text"]) == 64 * 1024 and log["text"].endswith("x\n")


async def test_a_failed_operation_is_reported_as_such(hive: FakeHive) -> None:
    hive.fail_with = Deadline("'bob' did not stop within 60 s; its events say how it ends.")
    async with in_memory(hive, "manager", "auto") as client:
        assert refusal(await client.call_tool("stop", {"name": "bob"})).startswith("'bob' did not stop")


async def test_a_fault_of_the_hive_is_masked_and_logged_once(
    connect: Connect, hive: FakeHive, caplog: pytest.LogCaptureFixture
) -> None:
    hive.fail_with = KeyError("token-4711")
    async with connect("alice") as client:
        said = refusal(await client.call_tool("recv", {}))
        assert said == "recv failed by a fault of the hive; its log says more. Try once more later."
    told = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(told) == 1 and told[0].exc_info is not None


async def test_a_failure_that_was_foreseen_is_told_in_its_own_words(connect: Connect, hive: FakeHive) -> None:
    hive.fail_with = Broken("The disk is full; free some space.")
    async with connect("alice") as client:
        assert refusal(await client.call_tool("recv", {})) == "The disk is full; free some space."


async def test_an_agent_that_is_gone_is_told_so(hive: FakeHive) -> None:
    async with in_memory(hive, "alice", "auto") as client:
        await hive.destroy("alice", by="operator")
        assert refusal(await client.call_tool("whoami", {})).startswith("There is no agent 'alice' any more")


async def test_no_surface_has_what_is_the_operators(connect: Connect) -> None:
    forbidden = {"login", "answer", "decide", "approve", "deny", "destroy", "purge", "revive", "spawn"}
    for caller in ("alice", "manager", "operator"):
        async with connect(caller) as client:
            assert not forbidden & set(await names(client))
            for name in forbidden:
                assert refusal(await client.call_tool(name, {})).startswith(f"There is no tool '{name}'")


async def test_whatever_arguments_say_the_caller_is_who_its_socket_says(
    connect: Connect, hive: FakeHive
) -> None:
    posing: tuple[dict[str, object], ...] = (
        {"sender": "operator"},
        {"from": "bob"},
        {"by": "manager"},
        {"agent": "bob"},
        {"ctx": {}},
    )
    async with connect("alice") as client:
        for claim in posing:
            said = refusal(await client.call_tool("send", {"to": "bob", "body": "hi", **claim}))
            assert said == f"send takes no argument '{next(iter(claim))}'; leave it out."
            refusal(await client.call_tool("recv", claim))
            refusal(await client.call_tool("whoami", claim))
        assert structured(await client.call_tool("whoami", {}))["name"] == "alice"
        structured(await client.call_tool("send", {"to": "bob", "body": "hi"}))
    assert hive.calls == [Call("send", {"sender": "alice", "to": "bob", "body": "hi"})]


@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("send", {}, "send needs the argument 'to'"),
        ("send", {"to": "bob"}, "send needs the argument 'body'"),
        ("send", {"to": "bob", "body": ""}, "A message needs a body"),
        ("send", {"to": "bob", "body": "x" * 70_000}, "The message has 70000 bytes"),
        ("send", {"to": "bob", "body": "a\0b"}, "A message cannot hold NUL"),
        (
            "send",
            {"to": "nobody", "body": "x"},
            "There is no agent 'nobody'; there are: manager, alice, bob.",
        ),
        ("send", {"to": "--all", "body": "x"}, "'--all' cannot name an agent"),
        ("send", {"to": "../bob", "body": "x"}, "'../bob' cannot name an agent"),
        ("send", {"to": "system", "body": "x"}, "'system' is reserved"),
        ("send", {"to": ["bob"], "body": "x"}, "send cannot take this 'to'"),
        ("send", {"to": None, "body": "x"}, "send cannot take this 'to'"),
        ("recv", {"wait_seconds": 181}, "recv cannot take this 'wait_seconds'"),
        ("recv", {"wait_seconds": -1}, "recv cannot take this 'wait_seconds'"),
        ("recv", {"wait_seconds": "soon"}, "recv cannot take this 'wait_seconds'"),
        ("recv", {"max": 0}, "recv cannot take this 'max'"),
        ("recv", {"max": 33}, "recv cannot take this 'max'"),
        ("recv", {"max": 1.5}, "recv cannot take this 'max'"),
        ("ask_operator", {"question": " "}, "A message needs a body"),
        ("ask_operator", {"question": "x" * 9_000}, "ask_operator cannot take this 'question'"),
        ("ask_operator", {"question": "x", "options": ["a"] * 17}, "ask_operator cannot take this 'options'"),
        ("ask_operator", {"question": "x", "options": [""]}, "ask_operator cannot take this 'options.0'"),
        ("ask_operator", {"question": "x", "multi": True}, "Several can only be chosen from options"),
        ("ask_operator", {"question": "x", "ttl_seconds": 0}, "ask_operator cannot take this 'ttl_seconds'"),
        ("start", {"name": "--help"}, "'--help' cannot name an agent"),
        ("stop", {"name": "all"}, "'all' is reserved"),
        ("restart", {"name": "nobody"}, "There is no agent 'nobody'"),
        ("update", {}, "update needs the argument 'name'"),
        ("get_logs", {"name": "bob", "lines": 0}, "get_logs cannot take this 'lines'"),
        ("get_logs", {"name": "bob", "lines": 1001}, "get_logs cannot take this 'lines'"),
        ("get_logs", {"name": "/etc/passwd"}, "'/etc/passwd' cannot name an agent"),
        ("--version", {}, "There is no tool '--version'"),
        ("x" * 300, {}, "There is no tool 'xxxxx"),
    ],
)
async def test_what_cannot_be_done_is_refused_in_one_sentence(
    hive: FakeHive, tool: str, arguments: dict[str, object], says: str
) -> None:
    before = hive.snapshot()
    async with in_memory(hive, "manager", "auto") as client:
        said = refusal(await client.call_tool(tool, arguments))
        assert said.startswith(says) and said.endswith(".") and len(said) < 300
        assert structured(await client.call_tool("whoami", {}))["name"] == "manager"
    assert hive.snapshot() == before


async def test_a_busy_agent_is_reported_as_under_way(hive: FakeHive) -> None:
    hive.replace(agent_view("bob", transient="rebuilding"))
    async with in_memory(hive, "manager", "auto") as client:
        said = refusal(await client.call_tool("stop", {"name": "bob"}))
    assert said == "'bob' is rebuilding; wait until that has ended."


async def test_what_a_caller_names_does_not_fill_the_log(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    async with connect("alice") as client:
        refusal(await client.call_tool("x" * 100_000, {}))
        refusal(await client.call_tool("send", {"to": "y" * 100_000, "body": "z"}))
    assert len(caplog.text) < 2_000
