"""Shares of a container without walls, in a folder that its payload can write to."""

from pathlib import Path

import pytest

from hyperhive.errors import Broken
from hyperhive.runtimes import links
from hyperhive.runtimes.base import Bind


def test_a_link_in_the_place_of_the_shares_leads_nowhere(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "container", tmp_path / "elsewhere"
    for path in (folder, elsewhere / "empty"):
        path.mkdir(parents=True)
    (elsewhere / "link").symlink_to(tmp_path)
    links.place(folder).symlink_to(elsewhere)
    with pytest.raises(Broken):
        links.show(folder, (Bind(tmp_path, Path("bob/config")),))
    links.prepare(folder, shares=True)
    assert sorted(path.name for path in elsewhere.iterdir()) == ["empty", "link"]
    links.show(folder, (Bind(elsewhere, Path("bob/config")),))
    assert (links.place(folder) / "bob/config").readlink() == elsewhere
