"""The real inputs that the examples use, for the benchmarks."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "examples"))

from real_inputs import (  # noqa: E402
    bbc_rows,
    cache_folder,
    minilm_folder,
    treebank_file,
    vader_rows,
)

__all__ = ["bbc_rows", "cache_folder", "minilm_folder", "treebank_file", "vader_rows"]
