"""Text that others wrote, fit to be shown."""


def plain(text: str, *, lines: bool = False) -> str:
    """Without anything that a terminal would obey."""
    return "".join(char if char.isprintable() or (lines and char == "\n") else "�" for char in text)
