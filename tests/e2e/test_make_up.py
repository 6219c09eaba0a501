"""``make up`` in a fresh clone, as root and as a plain user, with nothing of ours on the machine: to the report."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.hive import RealHive, hive
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
PASSED_ON = ("PIP_", "SSL_", "CURL_CA", "REQUESTS_CA", "HTTP", "http", "NO_PROXY", "no_proxy", "ALL_PROXY")
"""How this machine reaches the package index."""
INSTALLING = 500.0

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(700),
    pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed"),
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no clone of the repository"),
]


class Cloned(RealHive):
    """A hive that ``make up`` starts in its own clone."""

    def starting(self, flags: list[str]) -> list[str]:
        """See ``RealHive``."""
        return [
            "make",
            "--no-print-directory",
            "-C",
            str(self.place / "clone"),
            "up",
            f"ARGS={' '.join(flags)}",
        ]


def _user(who: str) -> str | None:
    """Whom to start as; ``None`` is this user."""
    if who == "as this user":
        return None
    if os.geteuid() != 0:
        pytest.skip("only root can start something as another user")
    with suppress(KeyError):
        return pwd.getpwnam("nobody").pw_name
    pytest.skip("there is no user nobody")


@pytest.fixture(params=["as this user", "as a plain user"])
def cloned(request: pytest.FixtureRequest) -> Iterator[Cloned]:
    user = _user(request.param)
    env = {key: value for key, value in os.environ.items() if key.startswith(PASSED_ON)} | {"NO_SYSTEM": "1"}
    if user is None:
        asked = subprocess.run(["pip", "cache", "dir"], capture_output=True, text=True, check=False)
        env |= {"PIP_CACHE_DIR": asked.stdout.strip()} if asked.returncode == 0 else {}
    else:
        env["PATH"] = "/usr/local/bin:/usr/bin:/bin"
    with hive(scenario=None, rehearse=False, env=env, kind=Cloned) as made:
        assert isinstance(made, Cloned)
        clone = made.place / "clone"
        subprocess.run(["git", "clone", "-q", "--depth=1", f"file://{ROOT}", clone], check=True)
        (made.place / "user").mkdir()
        made.command = str(clone / ".venv/bin/hyperhive")
        made.as_user, made.start_deadline = user, INSTALLING
        if user is not None:
            subprocess.run(["chown", "-R", user, made.place], check=True)
        yield made


def test_one_command_leads_from_a_clone_to_the_managers_report(cloned: Cloned) -> None:
    cloned.up()
    state = cloned.state()
    assert (state["hive"]["mode"], state["hive"]["runtime"]) == ("rehearsal", "bubblewrap")
    assert "Dashboard: http://127.0.0.1:" in (cloned.place / "out").read_text()
    cloned.cli("spawn", "alice")
    owner = cloned.place.stat().st_uid
    assert {Path(f"/proc/{p.pid}").stat().st_uid for p in cloned.inside("alice")} == {owner}
    assert cloned.ask("manager", "How is the machine?").startswith("alice reports:\nReport of alice")
    assert (cloned.folder("alice") / "state" / "report.md").stat().st_uid == owner

    leader = cloned.leader("alice")
    cloned.interrupt()
    cloned.start_deadline = 60
    cloned.up()
    cloned.shows("alice", ready=True)
    assert cloned.leader("alice") == leader
    cloned.cli("stop", "--all")
    eventually(lambda: not leader.alive, 60)
