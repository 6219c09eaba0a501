"""Mail: sending messages and taking them."""

import asyncio

from hyperhive.actors.broker import Expire, Recv, Send, Undelivered
from hyperhive.domain.messages import MAX_BATCH, MAX_WAIT, Message
from hyperhive.domain.names import OPERATOR, check_name
from hyperhive.errors import Invalid
from hyperhive.running.asking import DEADLINE, Asking


class Mail:
    """Asks the Broker."""

    def __init__(self, *, asking: Asking) -> None:
        self._asking = asking

    async def send(self, *, sender: str, to: str, body: str) -> Message:
        """Send a message."""
        if to != OPERATOR:
            check_name(to)
        broker = self._asking.tree.services.broker
        return await self._asking.call(lambda reply: broker.tell(Send(sender, to, body, reply)))

    async def recv(self, agent: str, *, wait: float, limit: int) -> tuple[Message, ...]:
        """Take unread messages; what a caller that left did not get stays unread."""
        if not 0 <= wait <= MAX_WAIT or not 1 <= limit <= MAX_BATCH:
            raise Invalid(f"Wait 0 to {MAX_WAIT:.0f} seconds for 1 to {MAX_BATCH} messages.", code="bad-recv")
        broker = self._asking.tree.services.broker
        token = next(self._asking.tree.room.tokens)

        def put_back(messages: tuple[Message, ...]) -> None:
            if messages:
                broker.tell(Undelivered(agent, tuple(message.id for message in messages)))

        try:
            return await self._asking.call(
                lambda reply: broker.tell(Recv(token, agent, limit, wait, reply)),
                deadline=wait + DEADLINE,
                undelivered=put_back,
            )
        except asyncio.CancelledError:
            broker.tell(Expire(agent, token))
            raise
