"""``/static/{version}/…``: the files beside the pages; under their own version they never change."""

from pathlib import PurePosixPath

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from hyperhive.web import pages
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


def routes() -> list[Route]:
    """The routes."""
    return [Route("/static/{version}/{path:path}", asset)]


async def asset(request: Request) -> Response:
    """A static file. An old version's address gives the new file, to be asked for again each time."""
    path = PurePosixPath(str(request.path_params["path"]))
    kind = _TYPES.get(path.suffix)
    file = (pages.STATIC / path).resolve()
    inside = file.is_relative_to(pages.STATIC.resolve())
    if kind is None or path.is_absolute() or "\0" in str(path) or not inside or not file.is_file():
        raise Rejected(404, "no-such-file", "There is no such file; reload the page.")
    current = request.path_params["version"] == pages.static_version()
    response = FileResponse(file, media_type=kind, stat_result=file.stat())
    response.headers["Cache-Control"] = _IMMUTABLE if current else "no-cache"
    if response.headers["etag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers={"ETag": response.headers["etag"]})
    return response
