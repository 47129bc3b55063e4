"""Failures grouped by what their messages have in common."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from jax_tests.results import BAD, FileResult, Result

# A message becomes the name of its class: what changes from case to case goes.
REPLACEMENTS = [
    (re.compile(r"\x1b\[[0-9;]*m"), ""),
    (re.compile(r"0x[0-9a-fA-F]+"), "0x#"),
    (re.compile(r"/[\w./+-]+\.py(:\d+)*(:in `[^`]*`)?"), "<file>"),
    (re.compile(r"\b[\w-]+\.py(:\d+)+"), "<file>"),
    (re.compile(r"tensor<[^>]*?(\w+)>"), r"tensor<\1>"),
    (re.compile(r"\b(bool|[su]?int\d+|u?i\d+|s\d+|bfloat16|bf16|float\d+|f\d+|complex\d+|c\d+)\[[^\]]*\]"), r"\1[#]"),
    (re.compile(r"[-+]?\b\d+(\.\d+)?(e[-+]?\d+)?\b"), "#"),
    (re.compile(r"#([ ,x×]+#)+"), "#"),
    (re.compile(r"\s+"), " "),
]

INTERESTING = re.compile(
    r"UNIMPLEMENTED|INVALID_ARGUMENT|INTERNAL|RESOURCE_EXHAUSTED|FAILED_PRECONDITION|NotImplementedError"
)
GENERIC = {"AssertionError: values differ", "AssertionError: nan in other places"}
NUMERIC = re.compile(r"Not equal to tolerance|not almost equal|Arrays are not equal|Mismatched elements")


def essence(message: str) -> str:
    """The part of a message that says what went wrong."""
    if NUMERIC.search(message):
        if "location mismatch" in message:
            place = re.search(r"(\w+) location mismatch", message)
            return f"AssertionError: {place[1]} in other places"
        return "AssertionError: values differ"
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    for line in lines:
        if INTERESTING.search(line):
            return line
    return next((line for line in lines if not line.startswith(("The stack trace", "---"))), "")


def class_of(message: str) -> str:
    text = essence(message)
    for pattern, replacement in REPLACEMENTS:
        text = pattern.sub(replacement, text)
    return text.strip()[:200] or "(no message)"


def stem_of(test: str) -> str:
    """Class and method of a test without the number of the generated case."""
    return re.sub(r"\d+(_.*)?$", "", test.split("::", 1)[-1])


def failures_of(files: Iterable[FileResult]) -> list[Result]:
    return [result for one in files for result in one.results if result.outcome in BAD]


def groups_of(failures: Iterable[Result]) -> list[tuple[str, list[Result]]]:
    """Classes of failures, the largest first."""
    groups: dict[str, list[Result]] = defaultdict(list)
    for failure in failures:
        name = class_of(failure.message)
        if name in GENERIC:  # the test says more than the message
            name += f": {stem_of(failure.test)}"
        groups[name].append(failure)
    return sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))


def report(files: Iterable[FileResult], examples: int = 3) -> str:
    lines = []
    for name, members in groups_of(failures_of(files)):
        lines.append(f"{len(members):6d}  {name}")
        lines += [f"          {member.test}" for member in members[:examples]]
    return "\n".join(lines)
