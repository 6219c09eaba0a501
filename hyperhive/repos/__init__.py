"""The config repositories of all agents. Git reads a proposer's objects, never a proposer's repository."""

from hyperhive.repos.repositories import Repositories
from hyperhive.repos.values import Commit, Pinned, Tag

__all__ = ["Commit", "Pinned", "Repositories", "Tag"]
