"""`python -m kerasft` is `kerasft`."""

import sys

from kerasft.workflows.cli import main

sys.exit(main())
