"""The shrinker, with a worker to say what still fails."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from fuzz.pool import Worker
from fuzz.program import Program
from fuzz.shrink import shrink

Judge = Callable[[Program], dict[str, Any]]


def worker_judge(worker: Worker, fault: str | None) -> Judge:
    return lambda program: worker.ask(text=program.write("candidate", ""), fault=fault)


def minimise(program: Program, answer: dict[str, Any], ask: Judge) -> tuple[Program, str]:
    """The smallest program that fails in the same way, and what it shows."""
    wanted, detail = answer["status"], answer["detail"]

    def fails(candidate: Program) -> bool:
        nonlocal detail
        found = ask(candidate)
        same = found["status"] == wanted and (wanted != "error" or kind(found["detail"]) == kind(answer["detail"]))
        if same:
            detail = found["detail"]
        return same

    return shrink(program, fails, step_values), detail


def kind(error: str) -> str:
    """The beginning of an error's message."""
    return error[:40]


def step_values(program: Program) -> dict[str, np.ndarray]:
    """What each step gives on XLA:CPU."""
    from fuzz import judge

    if not program.steps:
        return {}
    targets = tuple(target for step in program.steps for target in step.targets)
    with judge.surroundings(program):
        leaves = judge.run_on(program.replace(outputs=targets, mode="jit", donated=frozenset()), "cpu")
    if isinstance(leaves, judge.Failure):
        return {}
    return dict(zip(targets, leaves, strict=True))
