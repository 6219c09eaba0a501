"""The SDK, imported by one thread at a time: two that begin at different ends of it break on each other."""

import importlib
import threading

_ALONE = threading.Lock()
_MODULES = (
    "mcp.server.streamable_http_manager",
    "mcp.server.transport_security",
    "hyperhive.mcp.session",
    "hyperhive.mcp.manager",
)


def load() -> None:
    """Import the SDK and what stands on it; 0.4 s the first time, so not on the event loop."""
    with _ALONE:
        for name in _MODULES:
            importlib.import_module(name)
