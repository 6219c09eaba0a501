"""What a harness says faster than it can be dealt with does not pile up."""

import pytest

from hyperhive.domain.wire import FromHost, Hello, Trouble
from hyperhive.errors import Refused
from hyperhive.hive import Session
from hyperhive.running.harnesses import MAX_WAITING
from tests.running.conftest import Running
from tests.waiting import eventually_async


class Connection(Session):
    def send(self, line: FromHost) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.mark.slow
async def test_reports_faster_than_they_are_dealt_with_end_the_connection(hive: Running) -> None:
    running, rig = hive
    session = Connection()
    await running.harness_hello("manager", Hello(boot="flood", version="1"), session)
    with rig.busy("manager"):
        with pytest.raises(Refused, match="reports faster than it is dealt with") as refusal:
            for n in range(1, MAX_WAITING + 10):
                await running.harness_report("manager", session, n, Trouble(note="x"))
        assert refusal.value.code == "too-fast"
        assert rig.address("manager").depth <= MAX_WAITING
    await eventually_async(lambda: rig.address("manager").depth == 0, 60)
    await running.harness_report("manager", session, MAX_WAITING + 10, Trouble(note="it goes on"))
    await eventually_async(lambda: rig.view("manager").last_error == "it goes on", 60)
