"""Makes a program that fails as small as it gets, keeping how it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from fuzz.program import Program

Fails = Callable[[Program], bool]
ATTEMPTS = 150


def shrink(program: Program, fails: Fails, values: Callable[[Program], dict[str, np.ndarray]]) -> Program:
    """The smallest program found that still ``fails``.

    ``values`` computes what each step gives on the reference: a step can then be replaced by an input of that value.
    """
    left = ATTEMPTS

    def better(candidate: Program) -> bool:
        nonlocal left
        left -= 1
        return left >= 0 and fails(candidate)

    while left > 0:
        for candidate in candidates(program, values):
            if better(candidate):
                program = candidate
                break
        else:
            break
    return program


def candidates(program: Program, values: Callable[[Program], dict[str, np.ndarray]]) -> Iterator[Program]:
    """Smaller programs, the boldest first."""
    if len(program.outputs) > 1:
        for output in program.outputs:
            yield program.replace(outputs=(output,)).pruned()
        half = len(program.outputs) // 2
        yield program.replace(outputs=program.outputs[:half]).pruned()
        yield program.replace(outputs=program.outputs[half:]).pruned()
    if program.mode != "jit":
        yield program.replace(mode="jit")
    if program.donated:
        yield program.replace(donated=frozenset())
    if program.constants:
        yield program.replace(constants=frozenset())
    if len(program.steps) > 1:
        # End earlier.
        for count in range(1, len(program.steps)):
            step = program.steps[count - 1]
            yield program.replace(steps=program.steps[:count], outputs=step.targets).pruned()
        # Begin later.
        known = values(program)
        for count in range(len(program.steps) - 1, 0, -1):
            if fixed := inputs_for(program, range(count), known):
                yield fixed
        for index in range(len(program.steps)):
            if fixed := inputs_for(program, [index], known):
                yield fixed
    for name, value in program.inputs.items():
        for simple in simpler(value):
            yield program.replace(inputs=program.inputs | {name: simple})


def inputs_for(program: Program, indices, known: dict[str, np.ndarray]) -> Program | None:
    """The program with inputs in place of the steps."""
    gone = [program.steps[index] for index in indices]
    targets = [target for step in gone for target in step.targets]
    if any(target not in known for target in targets):
        return None
    kept = tuple(step for step in program.steps if step not in gone)
    needed = set(program.outputs).union(*(step.uses for step in kept))
    if not kept:
        return None
    inputs = program.inputs | {target: known[target] for target in targets if target in needed}
    outputs = tuple(output for output in program.outputs if output not in targets)
    if not outputs:
        return None
    smaller = program.replace(inputs=inputs, steps=kept, outputs=outputs).pruned()
    return smaller if len(smaller.steps) < len(program.steps) else None


def simpler(value: np.ndarray) -> Iterator[np.ndarray]:
    """The array with fewer different numbers."""
    if value.size == 0 or value.dtype == bool:
        return
    one, zero = np.ones_like(value), np.zeros_like(value)
    if not np.array_equal(value, one) and not np.array_equal(value, zero):
        yield one
        if value.size > 1:
            flat = value.ravel()
            for part in np.array_split(np.arange(value.size), min(4, value.size)):
                if np.array_equal(flat[part], one.ravel()[part]):
                    continue
                changed = flat.copy()
                changed[part] = 1
                yield changed.reshape(value.shape)
