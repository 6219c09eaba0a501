"""The host's end of the wire to the harnesses."""

from hyperhive.link.link import Link

__all__ = ["Link"]
