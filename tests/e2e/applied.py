"""What the daemon keeps of an agent in ``applied/``, read as anybody could."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.hive import RealHive


@dataclass(frozen=True, slots=True)
class Applied:
    """An agent's applied repository."""

    folder: Path

    def git(self, *words: str) -> bytes:
        """What git says about it."""
        command = ["git", "-c", "safe.directory=*", "-C", str(self.folder), *words]
        return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout

    def main(self) -> str:
        """The commit that is deployed."""
        return self.git("rev-parse", "main").decode().strip()

    def tags(self, id: int) -> dict[str, str]:
        """What an approval left: state → commit."""
        refs = f"refs/tags/*/{id}"
        form = (
            "--format=%(refname:lstrip=2) %(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)%(end)"
        )
        lines = self.git("for-each-ref", form, refs).decode().splitlines()
        pairs = (line.split() for line in lines)
        return {tag.partition("/")[0]: sha for tag, sha in pairs}

    def words(self, tag: str) -> str:
        """The message of an annotated tag."""
        assert self.git("cat-file", "-t", f"refs/tags/{tag}") == b"tag\n", f"{tag} is not annotated"
        return self.git("for-each-ref", "--format=%(contents)", f"refs/tags/{tag}").decode()

    def file(self, sha: str, path: str) -> bytes:
        """A file of a commit."""
        return self.git("show", f"{sha}:{path}")


def applied(real: RealHive, name: str) -> Applied:
    """The applied repository of this agent."""
    return Applied(real.folder(name) / "applied")


def built(real: RealHive, name: str) -> bytes:
    """The config in the generation that runs."""
    number = real.agent(name)["generation"]
    return (real.folder(name) / "generations" / str(number) / "agent.toml").read_bytes()
