"""hyperhive: supervises a hive of Claude Code agents on one host, one container each."""

__version__ = "0.3.0"
