"""Text from anywhere, made fit for a terminal: nothing in it is obeyed, nothing deceives. Cheap to import."""


def safe(text: object, *, lines: bool = False) -> str:
    """``text`` with everything made visible that a terminal would obey or a reader be deceived by.

    Args:
        lines: keep line breaks and tabs; otherwise they become spaces.
    """
    raw = str(text)
    if raw.isascii() and raw.isprintable():
        return raw
    return "".join(_shown(char, lines) for char in raw)


def _shown(char: str, lines: bool) -> str:
    if char in "\n\t":
        return char if lines else " "
    if char.isprintable():
        return char
    if char == "\r" and lines:
        return ""
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
