"""What the fuzzer shares with the tests of the ops: the one table of tolerances, and the special values."""

import os
import pathlib
import sys

os.environ.setdefault("JAX_MPS_TEST_PLATFORM", "mps")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "python"))

from ops.harness import TOLERANCE, is_inexact, limits, special_values  # noqa: E402

__all__ = ["TOLERANCE", "is_inexact", "limits", "special_values"]
