"""The expected failures: which tests, why, and what their messages must say.

One TOML file for each backend, JAX release, device label and number of generated cases, because
the names of generated cases depend on their number.  It holds groups:

    [[group]]
    reason = "MLX has no complex128"
    message = "UNIMPLEMENTED.*complex128"
    tests = ["tests/lax_test.py::LaxTest::testX3"]
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
import tomllib
from collections.abc import Iterable

from jax_tests.results import BAD, BROKEN, FileResult, Result
from jax_tests.triage import class_of


class ManifestError(Exception):
    """The manifest is not what it has to be."""


@dataclasses.dataclass
class Group:
    """Tests that fail for one reason; ``message`` is searched in each of their messages."""

    reason: str
    message: str
    tests: list[str]


@dataclasses.dataclass
class Verdict:
    """How results compare with the manifest."""

    new: list[Result]
    changed: list[tuple[Result, Group]]
    passing: list[str]
    gone: list[str]
    unexplained: list[Group]

    @property
    def red(self) -> bool:
        return bool(self.new or self.changed or self.unexplained)

    def text(self) -> str:
        # A file that broke says so once, not for each of its cases.
        broken = {one.test.split("::")[0]: one for one in self.new if one.message.startswith(BROKEN)}
        lines = [f"{file}: {one.message}" for file, one in broken.items()]
        lines += [
            f"new failure: {one.test}: {class_of(one.message)}"
            for one in self.new
            if not one.message.startswith(BROKEN)
        ]
        lines += [
            f"fails otherwise: {one.test}: {class_of(one.message)}; expected {group.message!r}"
            for one, group in self.changed
        ]
        lines += [f"passes although expected to fail: {test}" for test in self.passing]
        lines += [f"expected to fail but not collected: {test}" for test in self.gone]
        lines += [
            f"no reason given for {len(group.tests)} expected failures with {group.message!r}"
            for group in self.unexplained
        ]
        return "\n".join(lines)


def path_of(folder: pathlib.Path, backend: str, version: str, label: str, cases: int) -> pathlib.Path:
    return folder / f"{backend}-jax{version}-{label}-n{cases}.toml"


def load(path: pathlib.Path) -> list[Group]:
    if not path.is_file():
        return []
    with path.open("rb") as file:
        content = tomllib.load(file)
    groups, seen = [], set()
    for entry in content.pop("group", []):
        if set(entry) != {"reason", "message", "tests"}:
            raise ManifestError(f"{path}: a group has the keys {sorted(entry)}")
        group = Group(**entry)
        re.compile(group.message)
        repeated = seen.intersection(group.tests)
        if repeated:
            raise ManifestError(f"{path}: listed twice: {sorted(repeated)[:3]}")
        seen.update(group.tests)
        groups.append(group)
    if content:
        raise ManifestError(f"{path}: unknown keys {sorted(content)}")
    return groups


def save(path: pathlib.Path, groups: Iterable[Group]) -> None:
    def text(value: str) -> str:
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

    parts = []
    for group in sorted(groups, key=lambda one: (-len(one.tests), one.message)):
        tests = "".join(f"  {text(test)},\n" for test in sorted(group.tests))
        parts.append(
            f"[[group]]\nreason = {text(group.reason)}\nmessage = {text(group.message)}\n"
            f"tests = [\n{tests}]\n"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(parts))


def compare(groups: list[Group], files: list[FileResult], whole_files: bool) -> Verdict:
    """``whole_files``: no cases were deselected, so that absent ones are gone."""
    expected = {test: group for group in groups for test in group.tests}
    outcomes = {result.test: result for one in files for result in one.results}
    bad = [result for result in outcomes.values() if result.outcome in BAD]
    new = [result for result in bad if result.test not in expected]
    changed = [
        (result, expected[result.test])
        for result in bad
        if result.test in expected
        and not re.search(expected[result.test].message, result.message, re.DOTALL)
    ]
    known = [test for test in expected if test in outcomes]
    passing = [test for test in known if outcomes[test].outcome not in BAD]
    ran = {f"tests/{one.file}.py" for one in files}
    gone = [
        test
        for test in expected
        if whole_files and test.split("::")[0] in ran and test not in outcomes
    ]
    return Verdict(new, changed, passing, gone, [group for group in groups if not group.reason])


def pattern_of(message: str) -> str:
    """A regular expression for the class of a message."""
    pieces = re.split(r"#|<file>|\s", class_of(message)[:120])
    return ".*".join(re.escape(piece) for piece in pieces if piece)


def updated(groups: list[Group], files: list[FileResult], verdict: Verdict) -> list[Group]:
    """The groups after a run: what passes or is gone leaves, new failures join without a reason."""
    leaving = {*verdict.passing, *verdict.gone, *(result.test for result, _ in verdict.changed)}
    kept = [
        dataclasses.replace(group, tests=[test for test in group.tests if test not in leaving])
        for group in groups
    ]
    for result in [*verdict.new, *(result for result, _ in verdict.changed)]:
        for group in kept:
            if re.search(group.message, result.message, re.DOTALL):
                group.tests.append(result.test)
                break
        else:
            message = pattern_of(result.message)
            if not re.search(message, result.message, re.DOTALL):
                message = ""  # the class is a summary, not a part of the message
            kept.append(Group("", message, [result.test]))
    return [group for group in kept if group.tests]
