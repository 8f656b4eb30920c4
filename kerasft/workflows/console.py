"""Where workflows print: results to standard output, the rest to standard error.

Text is printed as it is: a label may be called "[bold]" or ":smile:".
"""

from io import StringIO

from rich.console import Console

_PLAIN = {"soft_wrap": True, "markup": False, "emoji": False, "highlight": False}
RESULTS = Console(**_PLAIN)
ERRORS = Console(stderr=True, **_PLAIN)


def as_text(table) -> str:
    """A table of rich as plain lines, whatever the terminal is."""
    console = Console(**_PLAIN, file=StringIO(), width=200, color_system=None)
    console.print(table)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())
