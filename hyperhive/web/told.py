"""The hive's own values as an answer: JSON, as they stand in every stream and page."""

from starlette.responses import JSONResponse

from hyperhive.domain.plain import as_json


class Told(JSONResponse):
    """JSON that may hold plain values."""

    def render(self, content: object) -> bytes:
        """``content`` as its body."""
        return as_json(content).encode()
