"""Odd strings in what is shown and told: every stream and page stays whole, and says what was meant."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from hyperhive.actors.hub import encode
from hyperhive.cli.wire import Frame, frames
from hyperhive.domain.events import Rebuilt
from hyperhive.domain.parts import AgentShown
from hyperhive.web.app import build
from hyperhive.web.security import Security
from tests.actors.rig import Rig
from tests.running.conftest import Running

ODD = {
    "line ends": "one\rtwo\r\nthree\nfour\n\nevent: forged\ndata: {}\n\n",
    "what some take for line ends": "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\x1dh\x1ei",
    "control characters": "".join(map(chr, range(32))) + "\x7f\x9b",
    "a byte that is no text, as in a file's name": b"caf\xe9.txt".decode(errors="surrogateescape"),
    "half a pair": "a\ud83d",
    "beyond the first plane": "\U0001f600\U0010ffff",
    "non-characters and marks": "\ufeff\ufffe\uffff\u202e\u200b",
    "markup": "</script><script>alert(1)</script>&lt;'\"`${x}\\u0000",
    "a field of the stream": "id: 9\nretry: 1\n: comment",
    "much": "ä" * 60_000,
}


def whole(text: str) -> str:
    """``text`` as it can be sent: UTF-8 has nothing for half a pair."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def parsed(raw: bytes) -> list[Frame]:
    """The frames of a stream, as the command line reads them."""
    lines = (line.rstrip(b"\r").decode() for line in raw.split(b"\n"))
    return [frame for frame in frames(iter(lines)) if frame.event != "comment"]


def show(rig: Rig, text: str) -> None:
    """Show an agent with an error of this text, which comes from anywhere."""
    view = replace(rig.view("manager"), name="zoe")  # nobody else shows her

    def op(tx: Any) -> None:
        tx.show(AgentShown(replace(view, last_error=text)))
        tx.emit(Rebuilt(agent="zoe", ok=False, note=text))

    rig.write(op)


@pytest.mark.parametrize("what", ODD)
async def test_an_odd_string_leaves_stream_state_and_pages_whole(hive: Running, what: str) -> None:
    running, rig = hive
    odd, before = ODD[what], rig.database.reader().events.newest()
    stream = running.stream(after=before, views=True)
    raw = b"".join([await anext(stream), await anext(stream)])
    await asyncio.to_thread(show, rig, odd)
    while b"event: rebuilt" not in raw:
        async with asyncio.timeout(60):
            raw += await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    told = parsed(raw)
    assert {frame.event for frame in told} == {"state", "patch", "rebuilt"}
    (rebuilt,) = [frame for frame in told if frame.event == "rebuilt"]
    assert rebuilt.id == str(before + 1)
    assert whole(json.loads(rebuilt.data)["note"]) == whole(odd)
    patched = [json.loads(frame.data).get("agents", []) for frame in told if frame.event == "patch"]
    assert [view["last_error"] for views in patched for view in views if view["name"] == "zoe"] == [
        whole(odd)
    ]
    app = build(hive=running, security=Security(token="t" * 40, port=7000))
    headers = {"Authorization": "Bearer " + "t" * 40}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://localhost:7000", headers=headers
    ) as web:
        for path in ("/", "/agents/zoe", "/history"):
            assert (await web.get(path)).status_code == 200
        state = (await web.get("/api/state")).json()
    assert [view["last_error"] for view in state["agents"] if view["name"] == "zoe"] == [whole(odd)]
    assert rig.restarts("#hub") == 0


def test_a_frame_has_one_line_of_data_whatever_is_in_it() -> None:
    for odd in ODD.values():
        (frame,) = parsed(encode("rebuilt", json.dumps({"note": odd}), 7))
        assert (frame.id, frame.event, json.loads(frame.data)["note"]) == ("7", "rebuilt", odd)
