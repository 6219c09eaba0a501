"""Where the rehearsal's API is reached: it can be told before what answers there is loaded."""

import contextlib
import ipaddress
import logging
import socket

from hyperhive.errors import Broken, Invalid

_log = logging.getLogger(__name__)


def listen(host: str, port: int) -> socket.socket:
    """Listen on loopback; who connects before anything is served waits.

    Args:
        port: when it is taken, or 0, a free one is chosen.

    Raises:
        Invalid: ``host`` is no loopback address.
        Broken: it could not listen.
    """
    if not _is_loopback(host):
        raise Invalid(f"The rehearsal listens on loopback only, not on {host}; use 127.0.0.1.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    reason = ""
    for wanted in dict.fromkeys((port, 0)):
        # Without the protocol's name asyncio holds small answers back, see web/server.py.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, wanted))
            listener.listen(256)
            listener.setblocking(False)
        except OSError as error:
            listener.close()
            reason = error.strerror or str(error)
            _log.warning("The rehearsal cannot listen on %s:%d: %s", host, wanted, reason)
        else:
            return listener
    raise Broken(f"The rehearsal's API cannot listen on {host}: {reason}; free a port or choose another.")


def address(listener: socket.socket) -> str:
    """The base URL of what listens."""
    host, number = listener.getsockname()[:2]
    return f"http://[{host}]:{number}" if ":" in host else f"http://{host}:{number}"


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
