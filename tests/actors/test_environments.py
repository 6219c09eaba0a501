"""An environment file is the operator's alone, or it is refused with what to do."""

import os
from pathlib import Path

import pytest

from hyperhive.actors.environments import Environments
from hyperhive.domain.agent_config import AgentConfig
from hyperhive.errors import Refused


@pytest.fixture
def file(tmp_path: Path) -> Path:
    Environments(folder=tmp_path / "environments").prepare()
    file = tmp_path / "environments/bedrock.env"
    file.write_text("AWS_REGION=eu-central-1\nAWS_SECRET_ACCESS_KEY='hush hush'\n")
    file.chmod(0o600)
    return file


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_closed_file_is_found(tmp_path: Path, file: Path, mode: int) -> None:
    file.chmod(mode)
    environments = Environments(folder=tmp_path / "environments")
    assert environments.check(AgentConfig(environment="bedrock")) == file
    assert environments.check(AgentConfig()) is None


def _remove(file: Path) -> None:
    file.unlink()


def _open_up(file: Path) -> None:
    file.chmod(0o640)


def _link(file: Path) -> None:
    file.rename(file.with_name("other"))
    file.symlink_to(file.with_name("other"))


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file, 0o600)


def _forbidden(file: Path) -> None:
    file.write_text("LD_PRELOAD=hush hush\n")


def _bytes(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")


def _long(file: Path) -> None:
    file.write_text("A=" + "x" * 70_000)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_remove, r"there is no .*bedrock.env; the operator makes it"),
        (_open_up, r"others can read .*; close it: chmod 600 "),
        (_link, "is a link; put a regular file there"),
        (_folder, "is not a regular file"),
        (_pipe, "is not a regular file"),
        (_forbidden, "line 1: LD_PRELOAD cannot be set here"),
        (_bytes, "is not UTF-8"),
        (_long, "longer than 65536 bytes"),
    ],
)
def test_anything_else_is_refused_and_its_content_is_not_repeated(
    tmp_path: Path, file: Path, spoil: object, why: str
) -> None:
    assert callable(spoil)
    spoil(file)
    with pytest.raises(Refused, match=why) as refusal:
        Environments(folder=tmp_path / "environments").check(AgentConfig(environment="bedrock"))
    assert str(file) in refusal.value.message
    assert "hush" not in refusal.value.message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_anothers_file_is_refused(tmp_path: Path, file: Path) -> None:
    os.chown(file, 12345, 0)
    with pytest.raises(Refused, match="belongs to user 12345; give it to the daemon"):
        Environments(folder=tmp_path / "environments").check(AgentConfig(environment="bedrock"))
