"""``/static/{version}/…``: the files beside the pages; under their own version they never change."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from hyperhive.web.problems import Rejected

_IMMUTABLE = "public, max-age=31536000, immutable"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
    ".txt": "text/plain; charset=utf-8",
}


class Assets:
    """The static files, listed once: no path is ever made from what a request says.

    Args:
        folder: where they are.
        version: what the addresses of the present ones carry.
    """

    def __init__(self, *, folder: Path, version: str) -> None:
        self._version = version
        self._files = {
            file.relative_to(folder).as_posix(): file
            for file in folder.rglob("*")
            if file.suffix in _TYPES and file.is_file()
        }

    def routes(self) -> list[Route]:
        """The routes."""
        return [Route("/static/{version}/{path:path}", self.asset)]

    async def asset(self, request: Request) -> Response:
        """A static file. An old version's address gives the new file, to be asked for again each time."""
        file = self._files.get(str(request.path_params["path"]))
        if file is None or not file.is_file():
            raise Rejected(404, "no-such-file", "There is no such file; reload the page.")
        current = request.path_params["version"] == self._version
        response = FileResponse(file, media_type=_TYPES[file.suffix], stat_result=file.stat())
        response.headers["Cache-Control"] = _IMMUTABLE if current else "no-cache"
        etag = response.headers["etag"]
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers={"ETag": etag})
        return response
