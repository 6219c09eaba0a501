"""What only the command line gets on ``host.sock``: the way into a container, and where a login is kept."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

_SHELL = ("/bin/sh", "-c", "command -v bash >/dev/null && exec bash -l || exec sh")

Enter = Callable[[str, tuple[str, ...]], Awaitable[tuple[str, ...]]]


def host_routes(*, enter: Enter, login_folder: Callable[[str], str], claude: Path) -> list[BaseRoute]:
    """The routes.

    Args:
        enter: gives the host command that runs another one inside an agent's container.
        login_folder: the folder of an agent's login, on the host.
        claude: the Claude Code binary that logs in.
    """

    async def shell(request: Request) -> Response:
        return JSONResponse({"argv": list(await enter(request.path_params["name"], _SHELL))})

    async def login(request: Request) -> Response:
        folder = login_folder(request.path_params["name"])
        return JSONResponse({"folder": folder, "claude": str(claude)})

    return [Route("/api/agents/{name}/shell", shell), Route("/api/agents/{name}/login", login)]
