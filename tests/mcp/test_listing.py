"""The list of agents as it is answered: always of now, whatever was answered before."""

import json
from dataclasses import replace

from mcp.server.mcpserver.utilities.func_metadata import func_metadata
from mcp_types import CallToolResult, TextContent

from hyperhive.mcp.listing import Listing
from hyperhive.mcp.results import Agents, AgentStatus
from tests.fakes.samples import agent_view


def _plainly() -> Agents:
    raise NotImplementedError


def test_an_answer_shows_the_agents_of_now_and_says_what_the_sdk_makes_of_them() -> None:
    listing, odd = Listing(), agent_view("alice", last_error='ü"\n\u2028')
    bob = agent_view("bob")
    metadata = func_metadata(_plainly)
    for views in (
        (odd,),
        (odd, bob),
        (odd, bob),
        (odd, replace(bob, inbox_depth=3)),
        (bob, odd),
        (odd,),
        (),
    ):
        agents = Agents(agents=tuple(AgentStatus.of(view) for view in views))
        answer = listing.answer(views)
        sdk = metadata.convert_result(agents)
        assert isinstance(sdk, CallToolResult)
        assert answer.structured_content == sdk.structured_content
        for block in (*answer.content, *sdk.content):
            assert isinstance(block, TextContent)
            assert json.loads(block.text) == sdk.structured_content
        assert (len(answer.content), answer.is_error, answer.meta) == (1, sdk.is_error, sdk.meta)
        answer.meta = {"not": "kept"}
        assert listing.answer(views).meta is None
