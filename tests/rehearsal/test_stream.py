"""An answer looks as the Messages API's do, streamed or whole."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hyperhive.rehearsal import stream
from hyperhive.rehearsal.engine import Call, Text

PARTS: tuple[Text | Call, ...] = (
    Text("Let me look around a little before I begin."),
    Call("Bash", {"command": "ls " * 40}),
)


def events(data: bytes) -> list[dict[str, Any]]:
    frames = [frame for frame in data.decode().split("\n\n") if frame]
    read = [json.loads(frame.partition("\ndata: ")[2]) for frame in frames]
    assert [frame.partition("\n")[0] for frame in frames] == [f"event: {event['type']}" for event in read]
    return read


def test_the_pieces_of_a_streamed_answer_make_up_the_whole_one() -> None:
    for index, part in enumerate(PARTS):
        start, *deltas, stop = events(b"".join(stream.block(index, part)))
        assert (start["type"], start["index"]) == ("content_block_start", index)
        assert (stop["type"], stop["index"]) == ("content_block_stop", index)
        assert len(deltas) > 2
        match part:
            case Text():
                assert "".join(delta["delta"]["text"] for delta in deltas) == part.text
            case Call():
                partial = "".join(delta["delta"]["partial_json"] for delta in deltas)
                assert json.loads(partial) == part.input
    whole = stream.message(PARTS, model="claude", given={"input_tokens": 3})
    assert [block["type"] for block in whole["content"]] == ["text", "tool_use"]
    assert whole["content"][0]["text"] == "Let me look around a little before I begin."
    assert whole["content"][1]["input"] == {"command": "ls " * 40}


def test_the_end_tells_why_and_what_was_used() -> None:
    delta, stop = events(stream.ending(PARTS, given={"input_tokens": 3}))
    assert delta["delta"]["stop_reason"] == "tool_use"
    assert delta["usage"] == {"input_tokens": 3, "output_tokens": stream.output_tokens(PARTS)}
    assert stop == {"type": "message_stop"}
    assert events(stream.ending(PARTS[:1], given={}))[0]["delta"]["stop_reason"] == "end_turn"


@given(st.text(max_size=20_000))
def test_no_text_is_lost_between_pieces_and_there_are_not_too_many(text: str) -> None:
    found = stream.pieces(text)
    assert "".join(found) == text
    assert len(found) <= stream.MAX_PIECES + 1


def test_what_came_before_counts_as_cached_from_the_second_request_on() -> None:
    hello = {"role": "user", "content": "hello " * 100}
    first = stream.usage({"messages": [hello]}, 40_000)
    later = stream.usage({"messages": [hello, {"role": "assistant", "content": "hi"}, hello]}, 40_000)
    assert first["cache_read_input_tokens"] == 0
    assert first["cache_creation_input_tokens"] == 10_000
    assert later["cache_read_input_tokens"] > later["cache_creation_input_tokens"] > 0
