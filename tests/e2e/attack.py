"""What a hostile agent tries from inside its container; a program of its own, standard library only.

Usage: attack.py KIND, with what it needs to know as JSON on stdin; what came of each attempt as JSON on stdout.
"""

import contextlib
import json
import os
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

HIVE, MCP = "/run/hive/hive.sock", "/run/hive/mcp.sock"
HELLO = {"type": "hello", "boot": "forged", "version": "0"}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "forged", "version": "0"},
    },
}
NOTED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
MIB = 1 << 20
NOISE: list[bytes] = [
    b"",
    b"\n" * 1000,
    b"{}\n" * 100,
    b"[" * 100_000 + b"\n",
    b'{"type":"hello"}\n',
    b"\x00\xff\xfe" * 10_000 + b"\n",
    b"a" * (5 * MIB),
    json.dumps({**HELLO, "boot": "x" * 10_000}).encode() + b"\n",
    json.dumps({**HELLO, "protocol": 99}).encode() + b"\n",
    json.dumps({**HELLO, "turn": 10**400}).encode() + b"\n",
    b'{"type":"hello","boot":"a","version":"b"',
    json.dumps(INITIALIZE).encode() + b"\n" + b"{" * (2 * MIB),
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
]


def main(kind: str) -> None:
    """Try it."""
    tries: dict[str, Callable[[dict[str, Any]], object]] = {
        "files": files,
        "sockets": sockets,
        "http": http,
        "rehearsal": rehearsal,
        "forge": forge,
        "impersonate": impersonate,
        "noise": noise,
        "plant": plant,
        "flood": flood,
        "fork": fork,
    }
    json.dump(tries[kind](json.load(sys.stdin)), sys.stdout)


def files(told: dict[str, Any]) -> object:
    """Read what is not its own, by its path on the host, through links and by searching."""
    reached = []
    for path in told["paths"]:
        for way in (path, f"/state/..{path}", f"/proc/1/root{path}", f"/proc/self/cwd/../..{path}"):
            if Path(way).exists():
                reached.append(way)
    for pid in told["pids"]:
        for part in ("root", "cwd", "environ", "fd/0"):
            try:
                seen = Path(f"/proc/{pid}/{part}").resolve() if part != "environ" else None
                text = Path(f"/proc/{pid}/environ").read_bytes() if seen is None else str(seen).encode()
            except OSError:
                continue
            if told["secret"].encode() in text or b"/home/agents" in text:
                reached.append(f"/proc/{pid}/{part}")
    for folder, folders, names in os.walk("/"):
        if folder in ("/proc", "/sys", "/usr"):
            folders.clear()
        reached += [f"{folder}/{name}" for name in names if name in told["names"]]
    return reached


def sockets(told: dict[str, Any]) -> object:
    """Connect to sockets that are not its own."""
    reached = []
    for path in told["paths"]:
        with socket.socket(socket.AF_UNIX) as s:
            try:
                s.connect(path)
            except OSError:
                continue
            reached.append(path)
    return reached


def http(told: dict[str, Any]) -> object:
    """Ask the operator's API over loopback; the statuses."""
    answers = []
    for request in told["requests"]:
        body = json.dumps(request["body"]).encode() if "body" in request else None
        asked = urllib.request.Request(
            told["url"] + request["path"], data=body, headers=request["headers"], method=request["method"]
        )
        answers.append(status(asked))
    return answers


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def status(asked: urllib.request.Request) -> int:
    """The status of the answer."""
    try:
        with urllib.request.build_opener(_Stay).open(asked, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def rehearsal(told: dict[str, Any]) -> object:
    """Use its own key, and what it can make of it, at the rehearsal's API."""
    welcome = greet()[1]
    url, own = welcome["env"]["ANTHROPIC_BASE_URL"], welcome["env"]["ANTHROPIC_API_KEY"]
    seal = own.split("-")[-1]
    keys = [own, *(f"sk-rehearsal-{name}-{seal}" for name in told["names"]), "sk-guessed", ""]
    body = json.dumps(
        {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
    ).encode()
    found = []
    for key in keys:
        headers = {"x-api-key": key, "content-type": "application/json"}
        found.append(status(urllib.request.Request(f"{url}/v1/messages", data=body, headers=headers)))
    return {"agent": welcome["agent"], "env": sorted(welcome["env"]), "statuses": found}


def greet() -> tuple[socket.socket, dict[str, Any]]:
    """Say hello as a harness; the connection and its welcome."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(HIVE)
    s.sendall(json.dumps(HELLO).encode() + b"\n")
    return s, json.loads(s.makefile("rb").readline())


def forge(told: dict[str, Any]) -> object:
    """End turns that are not its own, name itself somebody else."""
    s, welcome = greet()
    reports = [{"type": "turn_over", "turn": turn, "outcome": "done"} for turn in told["turns"]]
    for n, report in enumerate(reports, 1):
        s.sendall(json.dumps({"type": "report", "n": n, "report": report}).encode() + b"\n")
    lines = s.makefile("rb")
    acked = [json.loads(lines.readline()) for _ in reports]
    with contextlib.suppress(OSError):  # the true harness may be back and have taken the connection's place
        s.sendall(json.dumps({**HELLO, "agent": told["name"]}).encode() + b"\n")
    s.close()
    return {"agent": welcome["agent"], "acks": acked}


def impersonate(told: dict[str, Any]) -> object:
    """Call what is the manager's, and send as somebody else."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(MCP)
        calls = [
            INITIALIZE,
            {"jsonrpc": "2.0", "method": "notifications/initialized"},
            *(
                {
                    "jsonrpc": "2.0",
                    "id": n,
                    "method": "tools/call",
                    "params": {"name": tool, "arguments": arguments},
                }
                for n, (tool, arguments) in enumerate(told["calls"], 2)
            ),
        ]
        for call in calls:
            s.sendall(json.dumps(call).encode() + b"\n")
        answers = {}
        for line in s.makefile("rb"):
            answer = json.loads(line)
            if "id" in answer and "method" not in answer:
                answers[answer["id"]] = answer
            if len(answers) == len(told["calls"]) + 1:
                break
    return [answers[n] for n in sorted(answers)][1:]


def noise(told: dict[str, Any]) -> object:
    """Send what is no protocol, and keep connections open that say nothing."""
    silent = []
    for path in (HIVE, MCP):
        for _ in range(30):
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(5)
            try:
                s.connect(path)
            except OSError:
                continue
            silent.append(s)
        for data in NOISE:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(10)
                try:
                    s.connect(path)
                    s.sendall(data)
                    s.shutdown(socket.SHUT_WR)
                    while s.recv(65536):
                        pass
                except OSError:
                    continue
    return len(silent)


def plant(told: dict[str, Any]) -> object:
    """Put links, pipes, sockets and devices where the daemon may look, and names that steer a terminal."""
    made = []
    names = [
        ".credentials.json",
        "notes.md",
        "launch.json",
        "log",
        "status",
        "\x1b[2Jname",
        "a\nb",
        "\u202exe.txt",
    ]
    for folder in ("/state", "/claude", "/harness", "/generation", "/run/hive", "/agents"):
        for n, name in enumerate(names):
            path = Path(folder) / name
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
                if n % 3:
                    path.symlink_to("/dev/zero")
                else:
                    os.mkfifo(path)
            if path.is_symlink() or path.is_fifo():
                made.append(str(path))
        for number in (os.makedev(1, 1), os.makedev(8, 0)):
            with contextlib.suppress(OSError):
                os.mknod(f"{folder}/device", 0o60600, number)
                made.append(f"{folder}/device")
        for target in told["targets"]:
            with contextlib.suppress(OSError):
                os.link(target, f"{folder}/hard")
                made.append(f"{folder}/hard")
    return made


def flood(told: dict[str, Any]) -> object:
    """Say too much: into its log, to everybody, in the operator's words and in the terminal's."""
    line = ("x" * 1000 + "\x1b]0;pwned\x07\n").encode()
    written = 0
    for stream in ("/proc/1/fd/1", "/proc/1/fd/2"):
        with contextlib.suppress(OSError), Path(stream).open("ab", buffering=0) as log:
            for _ in range(told["lines"]):
                written += log.write(line)
    refused = []
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(60)
        s.connect(MCP)
        lines = s.makefile("rb")
        s.sendall(json.dumps(INITIALIZE).encode() + b"\n" + json.dumps(NOTED).encode() + b"\n")
        lines.readline()
        for n in range(told["messages"]):
            to, body = ("operator", "bob")[n % 2], told["bodies"][n % len(told["bodies"])]
            asked = {"name": "send", "arguments": {"to": to, "body": body}}
            call = {"jsonrpc": "2.0", "id": n + 2, "method": "tools/call", "params": asked}
            s.sendall(json.dumps(call).encode() + b"\n")
            while (answer := json.loads(lines.readline())).get("id") != n + 2:
                pass
            if answer.get("error") or answer["result"].get("isError"):
                refused.append(n)
    return {"written": written, "refused": len(refused)}


def fork(told: dict[str, Any]) -> object:
    """Start processes until that is refused; how many there were."""
    children: list[int] = []
    try:
        while len(children) < told["most"]:
            child = os.fork()
            if child == 0:
                signal.pause()
            children.append(child)
    except OSError:
        pass
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return len(children)


if __name__ == "__main__":
    main(sys.argv[1])
