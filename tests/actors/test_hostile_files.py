"""What an agent leaves where its daemon looks: a login that is none, whatever it is made of."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from hyperhive.actors.layout import Layout
from hyperhive.actors.observer import CREDENTIALS, Credentials
from hyperhive.domain.axes import Login

LOGIN = '{"claudeAiOauth": {"accessToken": %s}}'


def _socket(path: Path) -> None:
    before = Path.cwd()
    os.chdir(path.parent)  # a socket's path is short
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(path.name)
    finally:
        os.chdir(before)


def _huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


PLANTED: dict[str, Callable[[Path], object]] = {
    "a pipe": lambda path: os.mkfifo(path),
    "a socket": _socket,
    "a folder": lambda path: path.mkdir(),
    "a link to the operator's token": lambda path: path.symlink_to(path.parent.parent / "token"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to an endless device": lambda path: path.symlink_to("/dev/zero"),
    "a terabyte of nothing": _huge,
    "deep nesting": lambda path: path.write_text("[" * 100_000),
    "a number of 100,000 digits": lambda path: path.write_text("9" * 100_000),
    "no UTF-8": lambda path: path.write_bytes(b"\xff\xfe" * 100),
    "a list": lambda path: path.write_text("[]"),
    "a token that is a number": lambda path: path.write_text(LOGIN % "1"),
    "a token that is blank": lambda path: path.write_text(LOGIN % '" "'),
    "nobody may read it": lambda path: path.touch(0o000),
}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(home=tmp_path, run=tmp_path / "run")
    folder = made.agent("alice").claude
    folder.mkdir(parents=True)
    (folder.parent / "token").write_text(LOGIN % '"the-operators"')
    return made


def _looked(layout: Layout) -> Login | None:
    own = Credentials(shared=lambda agent: {})
    found = layout.agent("alice").claude / CREDENTIALS
    if not found.is_symlink() and found.is_file():
        os.utime(found, (1, 1))  # not just now: a file that is being written is looked at again later
    return own.login("alice", layout.agent("alice"), None)


@pytest.mark.parametrize("what", PLANTED)
def test_what_is_planted_in_a_logins_place_is_no_login(layout: Layout, what: str) -> None:
    PLANTED[what](layout.agent("alice").claude / CREDENTIALS)
    assert _looked(layout) is Login.NEEDS_LOGIN


@pytest.mark.parametrize("token", ["\ud800", "\0", "x" * 100_000, "\u202e", "a\nb"])
def test_a_token_of_any_text_is_looked_at_without_harm(layout: Layout, token: str) -> None:
    (layout.agent("alice").claude / CREDENTIALS).write_text(LOGIN % json.dumps(token))
    assert _looked(layout) is Login.LOGGED_IN
    own = Credentials(shared=lambda agent: {})
    print_ = own.fingerprint("alice", layout.agent("alice"))
    assert print_ is not None and len(print_) == 16 and token not in print_
