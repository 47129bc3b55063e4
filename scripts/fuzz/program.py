"""What is fuzzed: a list of steps in static single assignment, and the Python file that it is written to.

A step is a line of Python over named values, so the program that runs and the one in a repro are the same text.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Any

import numpy as np

from fuzz import modes
from fuzz.modes import array

KINDS = {
    "move": "data movement, integers, comparisons: bits must agree",
    "round": "arithmetic and functions of floats: within the tolerance of each element",
    "sum": "sums, iterations, derivatives",
    "mixture": "Fourier transforms and decompositions: where one is not finite, neither is the other",
}


@dataclasses.dataclass(frozen=True)
class Step:
    """``targets = expression``; ``kind`` is one of `KINDS`."""

    targets: tuple[str, ...]
    expression: str
    kind: str

    @property
    def line(self) -> str:
        return f"{', '.join(self.targets)} = {self.expression}  # {self.kind}"

    @property
    def uses(self) -> set[str]:
        return names_in(self.expression)


@dataclasses.dataclass(frozen=True)
class Program:
    """Inputs by name, steps, and the names of the results.

    ``constants`` are inputs that the program closes over, ``donated`` those whose memory it is given.
    """

    inputs: dict[str, np.ndarray]
    steps: tuple[Step, ...]
    outputs: tuple[str, ...]
    mode: str = "jit"
    x64: bool = False
    host: bool = True
    constants: frozenset[str] = frozenset()
    donated: frozenset[str] = frozenset()
    seed: int | None = None

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def arguments(self) -> list[str]:
        return [name for name in self.inputs if name not in self.constants]

    def replace(self, **changes: Any) -> Program:
        return dataclasses.replace(self, **changes)

    def kinds_behind(self, output: str) -> set[str]:
        """Kinds of the steps that an output follows from."""
        alone = self.replace(outputs=(output,)).pruned()
        return {step.kind for step in alone.steps}

    def pruned(self) -> Program:
        """Without the steps and inputs that no output needs."""
        needed, kept = set(self.outputs), []
        for step in reversed(self.steps):
            if needed & set(step.targets):
                kept.append(step)
                needed |= step.uses
        inputs = {name: value for name, value in self.inputs.items() if name in needed}
        if not set(inputs) - self.constants:
            constants = frozenset()
        else:
            constants = self.constants & inputs.keys()
        return self.replace(
            inputs=inputs, steps=tuple(reversed(kept)), constants=constants, donated=self.donated & inputs.keys()
        )

    def function_source(self) -> str:
        lines = [f"def program({', '.join(self.arguments)}):"]
        lines += [f"    {name} = jnp.asarray(INPUTS[{name!r}])" for name in self.inputs if name in self.constants]
        lines += [f"    {step.line}" for step in self.steps]
        lines.append(f"    return {', '.join(self.outputs)},")
        return "\n".join(lines)

    def write(self, headline: str, detail: str) -> str:
        """The program as a file that shows the fault by itself, and that `read` reads."""
        note = "\n".join(line.rstrip() for line in f"{headline}\n\n{detail}".replace('"""', "'''").replace("\\", "/").splitlines())
        inputs = "\n".join(f"INPUTS[{name!r}] = {literal(value)}" for name, value in self.inputs.items())
        settings = {name: getattr(self, name) for name in ("seed", "mode", "x64", "host")}
        settings |= {name: sorted(getattr(self, name)) for name in ("constants", "donated")}
        return _TEMPLATE.format(
            note=note,
            settings=settings,
            helpers="\n\n".join(inspect.getsource(helper) for helper in modes.HELPERS),
            inputs=inputs,
            function=self.function_source(),
        )


def names_in(expression: str) -> set[str]:
    """The values that an expression names: ``v`` and a number."""
    return set(re.findall(r"(?<![\w.])v\d+\b", expression))


def literal(value: np.ndarray) -> str:
    """An expression for the array, exact to the bit."""
    name, shape = value.dtype.name, value.shape
    flat = value.ravel()
    if value.dtype.kind == "b":
        return f"array({name!r}, {shape}, {flat.tolist()})"
    if np.issubdtype(value.dtype, np.integer) or "int" in name:
        return f"array({name!r}, {shape}, {[int(x) for x in flat]})"
    if np.issubdtype(value.dtype, np.complexfloating):
        parts = [float(x) for z in flat for x in (z.real, z.imag)]
        text = f"array({name!r}, {shape}, {parts})"
    else:
        text = f"array({name!r}, {shape}, {[float(x) for x in flat]})"
    if eval(text, namespace()).tobytes() == value.tobytes():  # noqa: S307  our own text
        return text
    return f"array({name!r}, {shape}, {value.tobytes().hex()!r})"  # signs or bits of NaN


def namespace() -> dict[str, Any]:
    """What a program's text may name."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    return {"jax": jax, "jnp": jnp, "lax": lax, "np": np, "array": array, "nan": float("nan"), "inf": float("inf")}


def read(text: str) -> Program:
    """The program of a file that `Program.write` wrote."""
    head, _, rest = text.partition("# --- program ---\n")
    body, marker, _ = rest.partition("# --- end ---\n")
    if not marker:
        raise ValueError("not a repro of the fuzzer: its markers are missing")
    values: dict[str, Any] = {"INPUTS": {}, "SETTINGS": {}}
    kept = [line for line in head.splitlines() if re.match(r"(INPUTS\[|SETTINGS = )", line)]
    exec("\n".join(kept), namespace() | {"__builtins__": {}}, values)  # noqa: S102  our own text
    steps, outputs = [], ()
    for line in body.splitlines():
        if found := re.fullmatch(r"    (v\d+(?:, v\d+)*) = (.*)  # (\w+)", line):
            steps.append(Step(tuple(found[1].split(", ")), found[2], found[3]))
        elif line.startswith("    return "):
            outputs = tuple(name.strip() for name in line.removeprefix("    return ").rstrip(",").split(","))
    settings = values["SETTINGS"]
    return Program(
        inputs=values["INPUTS"],
        steps=tuple(steps),
        outputs=outputs,
        mode=settings["mode"],
        x64=settings["x64"],
        host=settings["host"],
        constants=frozenset(settings["constants"]),
        donated=frozenset(settings["donated"]),
        seed=settings["seed"],
    )


_TEMPLATE = '''"""{note}
"""

import os

os.environ.setdefault("JAX_PLATFORMS", "mps,cpu")
SETTINGS = {settings}
if not SETTINGS["host"]:
    os.environ["JAX_MPS_PLACE"] = "device"

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
from jax import lax

nan, inf = float("nan"), float("inf")
jax.config.update("jax_enable_x64", SETTINGS["x64"])


{helpers}

INPUTS = {{}}
{inputs}

# --- program ---
{function}
# --- end ---

if __name__ == "__main__":
    for platform in ("mps", "cpu"):
        with jax.default_device(jax.devices(platform)[0]):
            print(platform, run(program, INPUTS, SETTINGS, jax.devices(platform)[0]))
'''
