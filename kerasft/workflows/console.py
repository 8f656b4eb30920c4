"""Where workflows print: results to standard output, the rest to standard error."""

from rich.console import Console

RESULTS = Console(soft_wrap=True)
ERRORS = Console(stderr=True, soft_wrap=True)
