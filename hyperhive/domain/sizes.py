"""Numbers of bytes as a config says them: ``512M``."""

UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def size(text: str) -> int:
    """Bytes of ``4G`` and the like."""
    return int(text[:-1]) * UNITS[text[-1]] if text[-1] in UNITS else int(text)
