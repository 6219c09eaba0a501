"""Who may come in: the operator's token, one-time entry codes, sessions, the names this server answers to."""

import hashlib
import hmac
import ipaddress
import secrets
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from hyperhive.runtimes.proc import boot_id
from hyperhive.web.security_log import SecurityLog
from hyperhive.web.sessions import Sessions
from hyperhive.web.throttle import Throttle
from hyperhive.web.token import load_or_create_token

ENTRY_LIFE = 600.0
"""Seconds that an entry link works."""
MOST_ENTRIES = 32
"""Entry links that are open; the oldest makes room."""


class Security:
    """The operator's credentials and what is checked against them.

    Args:
        token: the operator's.
        host, port: what the server is bound to. The port is part of the cookie's name, because cookies do not
            tell ports apart and two hives on one host must not log each other out.
        allowed_hosts: further Host headers to answer to, with or without a port.
        sessions, throttle: as they are; the defaults are kept in memory.
        log: where logins and refusals are told.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        *,
        token: str,
        port: int,
        host: str = "127.0.0.1",
        allowed_hosts: Iterable[str] = (),
        sessions: Sessions | None = None,
        throttle: Throttle | None = None,
        log: SecurityLog | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.token = token
        self.sessions = sessions or Sessions()
        self.throttle = throttle or Throttle()
        self.log = log or SecurityLog()
        self.cookie = f"hyperhive_session_{port}"
        self._address = f"http://{_shown(host)}:{port}"
        self._hosts = _hosts(host, port, allowed_hosts)
        self._port = port
        self._clock = clock
        self._entries: dict[str, float] = {}

    @classmethod
    def from_home(cls, home: Path, *, host: str, port: int, allowed_hosts: Iterable[str] = ()) -> "Security":
        """The security of the hive in ``home``: its token and sessions, made when missing.

        Raises:
            Refused, Broken: the token's file is not as it must be.
        """
        token = load_or_create_token(home / "operator.token")
        return cls(
            token=token,
            host=host,
            port=port,
            allowed_hosts=allowed_hosts,
            sessions=Sessions(path=home / "sessions.json", token=token, boot=boot_id()),
        )

    def entry_link(self) -> str:
        """A link that logs in whoever opens it first, once, within ten minutes."""
        code = secrets.token_urlsafe(32)
        while len(self._entries) >= MOST_ENTRIES:
            del self._entries[next(iter(self._entries))]
        self._entries[_digest(code)] = self._clock() + ENTRY_LIFE
        return f"{self._address}/login?entry={code}"

    def forget_entries(self) -> None:
        """No entry link given out so far works any more."""
        self._entries.clear()

    def redeem(self, code: str) -> bool:
        """Use up an entry code; ``False`` when it is none, used or too old."""
        until = self._entries.pop(_digest(code), None)
        return until is not None and self._clock() < until

    def is_token(self, candidate: str) -> bool:
        """Whether ``candidate`` is the operator's token, in constant time."""
        return hmac.compare_digest(_digest(candidate), _digest(self.token))

    def answers_to(self, host: str, local: str | None) -> bool:
        """Whether ``host`` names this server, rather than a foreign name leading here (DNS rebinding).

        Args:
            host: the Host header.
            local: the address that the request arrived at, where it is known.
        """
        asked = host.lower()
        if asked in self._hosts:
            return True
        return local is not None and asked in (_shown(local), f"{_shown(local)}:{self._port}")


def _hosts(host: str, port: int, allowed: Iterable[str]) -> frozenset[str]:
    names = {"127.0.0.1", "localhost", "[::1]"}
    if host and not _is_wildcard(host):
        names.add(_shown(host).lower())
    names.update(name.strip().lower() for name in allowed if name.strip())
    return frozenset(names | {f"{name}:{port}" for name in names})


def _shown(host: str) -> str:
    """``host`` as it stands in an address; a wildcard as loopback, which it covers."""
    if _is_wildcard(host):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return host == ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
