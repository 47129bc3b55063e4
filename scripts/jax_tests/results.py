"""Outcomes of tests and files, and the table of them."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Iterable
from typing import Any

OUTCOMES = ("passed", "failed", "error", "skipped")
BAD = ("failed", "error")
# How the message of every case begins whose file crashed or ran out of time.
BROKEN = "the file broke: "


@dataclasses.dataclass
class Result:
    """What became of one test case."""

    test: str
    outcome: str
    seconds: float = 0.0
    message: str = ""


@dataclasses.dataclass
class FileResult:
    """What became of one file; ``broken`` says why all of its cases count as failed."""

    file: str
    results: list[Result]
    seconds: float
    broken: str = ""
    # Resident bytes after the first ten cases, after the last, and once the compile caches are cleared; threads then.
    usage: dict[str, int] = dataclasses.field(default_factory=dict)

    def count(self, outcome: str) -> int:
        return sum(result.outcome == outcome for result in self.results)

    def row(self) -> list[str]:
        counts = [self.count(outcome) for outcome in OUTCOMES]
        mebibytes = [f"{self.usage[key] / 2**20:.0f}" if key in self.usage else "" for key in MEMORY]
        threads = [str(self.usage.get(key, "")) for key in THREADS]
        return [self.file, *map(str, counts), percent(counts), f"{self.seconds:.0f}", *mebibytes, *threads, self.broken]


MEMORY = ("start_bytes", "peak", "end_bytes")
THREADS = ("start_threads", "end_threads")


def usage_of(events: list[dict[str, Any]]) -> dict[str, int]:
    """Memory and threads of a test process at its start and its end."""
    usage: dict[str, int] = {}
    for event in events:
        if event["event"] == "usage":
            if "peak" in event:
                usage["peak"] = event["peak"]
            usage |= {f"{event['when']}_{key}": event[key] for key in ("bytes", "threads")}
    return usage


def percent(counts: list[int]) -> str:
    """passed / (passed + failed + errors)"""
    run = sum(counts[:3])
    return f"{100 * counts[0] / run:.2f}" if run else "-"


def read_events(path: pathlib.Path) -> list[dict[str, Any]]:
    """The JSON lines of a test process; the last one may be cut off by a crash."""
    events = []
    if path.is_file():
        for line in path.read_text().splitlines():
            try:
                events.append(json.loads(line))
            except json.JSONDecodeError:
                break
    return events


def gather(events: list[dict[str, Any]]) -> tuple[list[str], list[Result], str, bool]:
    """Collected tests, results, the test that was running at the end, whether the end was regular."""
    collected: list[str] = []
    results, running, finished = [], "", False
    for event in events:
        kind = event.pop("event")
        if kind == "collected":
            collected = event["tests"]
        elif kind == "collection_error":
            results.append(Result(event["test"], "error", 0.0, event["message"]))
        elif kind == "started":
            running = event["test"]
        elif kind == "result":
            running = ""
            results.append(Result(**event))
        elif kind == "finished":
            finished = True
    return collected, results, running, finished


def table(files: Iterable[FileResult]) -> str:
    """A Markdown table, a row for each file and the total."""
    files = sorted(files, key=lambda one: one.file)
    head = ["file", *OUTCOMES, "% passed", "s", "MiB early", "after", "cleared", "threads", "after", "note"]
    counts = [sum(one.count(outcome) for one in files) for outcome in OUTCOMES]
    seconds = f"{sum(one.seconds for one in files):.0f}"
    rows = [one.row() for one in files]
    rows.append(["**all**", *map(str, counts), percent(counts), seconds, *[""] * (len(MEMORY) + len(THREADS)), ""])
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(cells: list[str]) -> str:
        padded = [
            cell.ljust(width) if i in (0, len(head) - 1) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * width if i in (0, len(head) - 1) else "-" * (width - 1) + ":"
            for i, width in enumerate(widths)]  # fmt: skip
    return "\n".join([line(head), line(rule), *map(line, rows)])


def write_json(path: pathlib.Path, settings: dict[str, Any], files: list[FileResult]) -> None:
    content = {
        "settings": settings,
        "totals": {outcome: sum(one.count(outcome) for one in files) for outcome in OUTCOMES},
        "files": [dataclasses.asdict(one) for one in sorted(files, key=lambda one: one.file)],
    }
    path.write_text(json.dumps(content, indent=1) + "\n")


def read_json(path: pathlib.Path) -> tuple[dict[str, Any], list[FileResult]]:
    content = json.loads(path.read_text())
    files = [
        FileResult(**{**one, "results": [Result(**result) for result in one["results"]]})
        for one in content["files"]
    ]
    return content["settings"], files
