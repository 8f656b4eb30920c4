"""Where workflows print: results to standard output, the rest to standard error.

Text is printed as it is: a label may be called "[bold]" or ":smile:".
"""

from rich.console import Console

_PLAIN = {"soft_wrap": True, "markup": False, "emoji": False, "highlight": False}
RESULTS = Console(**_PLAIN)
ERRORS = Console(stderr=True, **_PLAIN)
