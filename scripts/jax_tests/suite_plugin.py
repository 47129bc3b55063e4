"""A pytest plugin for one file of JAX's suite: device label, helper modules, results as JSON lines.

Settings come from the environment: ``JAX_SUITE_SOURCE`` (source tree of the release),
``JAX_SUITE_LABEL`` (what the tests take the device for), ``JAX_SUITE_RESULTS`` (the file to write).
"""

from __future__ import annotations

import gc
import json
import os
import pathlib
from typing import Any

RANK = {"passed": 0, "skipped": 1, "failed": 2, "error": 3}
LONGEST_MESSAGE = 4000
WARM = 10


def pytest_configure(config: Any) -> None:
    import jax._src
    import jax._src.pallas

    # Some helpers of the tests are in the source tree but in no wheel.  A package path that
    # ends with the source tree finds exactly those; all other modules stay the wheel's.
    source = pathlib.Path(os.environ["JAX_SUITE_SOURCE"])
    jax._src.__path__.append(str(source / "jax/_src"))
    jax._src.pallas.__path__.append(str(source / "jax/_src/pallas"))

    import jax
    import jax._src.test_util  # defines the flag

    from absl import flags

    # What absl's own test runner does; flags have their defaults.
    flags.FLAGS.mark_as_parsed()
    jax.config.update("jax_test_dut", os.environ["JAX_SUITE_LABEL"])
    config.pluginmanager.register(Recorder(pathlib.Path(os.environ["JAX_SUITE_RESULTS"])))


class Recorder:
    """Writes what happens at once, so that a crash loses nothing."""

    def __init__(self, path: pathlib.Path) -> None:
        self.file = path.open("w", buffering=1)
        self.outcome: dict[str, Any] = {}
        self.ended = 0

    def write(self, **event: Any) -> None:
        self.file.write(json.dumps(event) + "\n")

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.write(event="collection_error", test=report.nodeid, message=message_of(report))

    def pytest_collection_finish(self, session: Any) -> None:
        self.write(event="collected", tests=[item.nodeid for item in session.items])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.outcome = {"outcome": "passed", "seconds": 0.0, "message": ""}
        self.write(event="started", test=nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.outcome["seconds"] += report.duration
        outcome = report.outcome
        if outcome == "failed" and report.when != "call":
            outcome = "error"
        is_subtest = type(report).__name__ == "SubtestReport"
        if is_subtest and outcome == "skipped":
            return  # the rest of the test runs
        if RANK[outcome] > RANK[self.outcome["outcome"]]:
            self.outcome["outcome"] = outcome
            self.outcome["message"] = message_of(report)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.write(event="result", test=nodeid, **self.outcome)
        self.ended += 1
        # What the backends need once is no growth; they are there after some cases, and not to be made sooner.
        if self.ended == WARM:
            self.write(event="usage", when="start", **usage())

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        import jax

        peak = usage()
        jax.clear_caches()
        gc.collect()
        self.write(event="usage", when="end", peak=peak["bytes"], **usage())
        self.write(event="finished", status=int(exitstatus))


def usage() -> dict[str, int]:
    """Resident bytes and threads of this process."""
    import psutil

    process = psutil.Process()
    return {"bytes": process.memory_info().rss, "threads": process.num_threads()}


def message_of(report: Any) -> str:
    """The message of the exception, or the reason of a skip."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        text = crash.message
    elif isinstance(report.longrepr, tuple):
        text = report.longrepr[-1]
    else:
        text = str(report.longrepr)
    return text.strip()[:LONGEST_MESSAGE]
