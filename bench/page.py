"""The bare app that a start is measured against: uvicorn, Starlette and one page. Run as ``page.py PORT``."""

import sys

import uvicorn
from jinja2 import DictLoader, Environment, select_autoescape
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

_PAGE = """<!doctype html><html><head><title>{{ name }}</title></head><body><h1>{{ name }}</h1>
<ul>{% for agent in agents %}<li>{{ agent }}</li>{% endfor %}</ul></body></html>"""
_PAGES = Environment(loader=DictLoader({"page.html": _PAGE}), autoescape=select_autoescape(default=True))


async def page(request: Request) -> HTMLResponse:
    """``GET /``."""
    return HTMLResponse(_PAGES.get_template("page.html").render(name="hive", agents=("manager",)))


if __name__ == "__main__":
    app = Starlette(routes=[Route("/", page)])
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
