"""What only the command line gets on ``host.sock``: the way into a container, and where a login is kept."""

from pathlib import Path
from typing import Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hyperhive.domain.names import OPERATOR

_SHELL = ("/bin/sh", "-c", "command -v bash >/dev/null && exec bash -l || exec sh")


class Inside(Protocol):
    """What leads into an agent's container and to its login; both are written down as the operator's."""

    async def enter(self, name: str, argv: tuple[str, ...], *, by: str) -> tuple[str, ...]:
        """The host command that runs ``argv`` inside."""
        ...

    async def login_folder(self, name: str, *, by: str) -> str:
        """The folder of its login, on the host."""
        ...


def host_routes(*, inside: Inside, claude: Path) -> list[BaseRoute]:
    """The routes.

    Args:
        claude: the Claude Code binary that logs in.
    """

    async def shell(request: Request) -> Response:
        return JSONResponse(
            {"argv": list(await inside.enter(request.path_params["name"], _SHELL, by=OPERATOR))}
        )

    async def login(request: Request) -> Response:
        folder = await inside.login_folder(request.path_params["name"], by=OPERATOR)
        return JSONResponse({"folder": folder, "claude": str(claude)})

    return [Route("/api/agents/{name}/shell", shell), Route("/api/agents/{name}/login", login)]
