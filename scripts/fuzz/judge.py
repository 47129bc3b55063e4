"""Runs a program on the platform under test and on XLA:CPU, and says whether the results agree.

What is asked first is strict: bits of integers and moved data, the tolerance of tests/python/ops/harness.py for floats.
Where that fails, the reference is looked at more closely, for it is not the only right answer:

*Sensitivity.* The program is run on XLA:CPU again with noise on its roundings (`noise`). What moves with that is bounded
by how far it moved, and may differ where it flips (an integer that comes of a float on the verge, infinity on the verge
of overflow). Inputs are never changed, so that data movement, comparisons and single functions of inputs have no excuse.

*XLA op by op.* XLA:CPU's answer for the compiled program includes rewrites of its simplifier and, in bfloat16 and
float16, excess precision. What equals XLA:CPU's own answer without them (op by op, or compiled with
``xla_allow_excess_precision`` off) is right too.

*Denormals.* XLA:CPU flushes them, MLX keeps them (docs/ops.md). Where the platform under test has some on its way, the
noise makes either zero or the smallest normal number of them.

*Documented differences.* With the noise, the elements that a documented difference reaches become what it lets them be
(`documented`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import jax
import ml_dtypes
import numpy as np

from fuzz import modes, noise
from fuzz.harness import TOLERANCE, is_inexact
from fuzz.pool import FINDINGS
from fuzz.program import Program, namespace

SAMPLES = 8
"""Runs of the reference with noise."""
CHOICES = 64
"""Such runs where the noise chooses between a few values: each choice of each element must come."""
SLACK = 4.0
"""How many times as far as in those runs a result may be off: the largest of a few samples is not the worst case."""

# Documented refusals: docs/ops.md says so of each.
REFUSALS = {
    "complex<f64> has no element type in MLX": r"UNIMPLEMENTED.*complex<f64>",
}


@dataclasses.dataclass(frozen=True)
class Verdict:
    """``status``: ok; sensitive, denormal, reference, documented (right for the reasons above); refused, invalid; or a
    finding: value, type, error, accepted."""

    status: str
    detail: str = ""

    @property
    def is_finding(self) -> bool:
        return self.status in FINDINGS


@dataclasses.dataclass(frozen=True)
class Failure:
    """An exception of a run."""

    text: str

    @property
    def headline(self) -> str:
        lines = [line for line in self.text.splitlines() if line.strip()]
        return " ".join(lines[:2])[:300]


def device(platform: str) -> jax.Device:
    return jax.devices(platform)[0]


def compiled_function(program: Program, extra: dict[str, Any] | None = None, source: str | None = None) -> Callable:
    """The Python function of a program."""
    scope = namespace() | {"INPUTS": program.inputs} | (extra or {})
    exec(source or program.function_source(), scope)  # noqa: S102  our own text
    return scope["program"]


def attempt(run: Callable[[], Any]) -> Any:
    try:
        return jax.tree.map(np.asarray, jax.block_until_ready(run()))
    except Exception as error:  # noqa: BLE001  every failure is an outcome
        return Failure(f"{type(error).__name__}: {error}")


def run_on(program: Program, platform: str, extra: dict[str, Any] | None = None) -> Any:
    """Leaves of the results, or a `Failure`."""
    function = compiled_function(program, extra)
    settings = {"mode": program.mode, "constants": program.constants, "donated": program.donated}
    if platform == "cpu":
        settings["donated"] = frozenset()
        if program.mode == "eager":
            settings["mode"] = "jit"
    with jax.default_device(device(platform)):
        return attempt(lambda: jax.tree.leaves(modes.run(function, program.inputs, settings, device(platform))))


def judge(program: Program, fault: str | None = None, phase: Callable[[str], None] = lambda _: None) -> Verdict:
    """Compares the two platforms. ``fault``: a function of `lax` that is made wrong on purpose."""
    with surroundings(program):
        phase("cpu")
        want = run_on(program, "cpu")
        phase("mps")
        got = run_on(program, os.environ["JAX_MPS_TEST_PLATFORM"], {"lax": Faulty(fault)} if fault else None)
        phase("compare")
        return compare(program, got, want, phase)


@contextlib.contextmanager
def surroundings(program: Program) -> Iterator[None]:
    """Settings of JAX and of the plugin that a program runs with."""
    before = os.environ.pop("JAX_MPS_PLACE", None)
    if not program.host:
        os.environ["JAX_MPS_PLACE"] = "device"
    try:
        with jax.enable_x64(program.x64), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.environ.pop("JAX_MPS_PLACE", None)
        if before is not None:
            os.environ["JAX_MPS_PLACE"] = before


class Faulty:
    """`lax` with one function wrong by 1 %."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, name: str) -> Any:
        original = getattr(jax.lax, name)
        if name != self.name:
            return original
        return lambda *arguments, **keywords: original(*arguments, **keywords) * 1.01


def compare(program: Program, got: Any, want: Any, phase: Callable[[str], None] = lambda _: None) -> Verdict:
    if isinstance(want, Failure) and isinstance(got, Failure):
        return Verdict("invalid", want.headline)
    if isinstance(got, Failure):
        for reason, pattern in REFUSALS.items():
            if re.search(pattern, got.text, re.DOTALL):
                return Verdict("refused", reason)
        return Verdict("error", got.headline)
    if isinstance(want, Failure):
        return Verdict("accepted", want.headline)
    for index, (one, other) in enumerate(zip(got, want, strict=True)):
        if one.dtype != other.dtype or one.shape != other.shape:
            return Verdict("type", f"result {index}: {one.dtype}{one.shape}, expected {other.dtype}{other.shape}")
    plain = Comparison(program, [want])
    wrong = plain.wrong(got)
    if not any(np.any(mask) for mask in wrong):
        return Verdict("ok")
    status, references, wrong = excuses(program, got, want, phase)
    if status:
        return Verdict(status)
    return Verdict("value", describe(got, references[0], wrong))


# References


def excuses(program: Program, got: list, want: list, phase: Callable[[str], None]) -> tuple[str, list, list]:
    """Looks at the reference more closely: a status if that explains the difference, the references, what is wrong."""
    references = [want]
    comparison = Comparison(program, references)
    phase("denormals")
    denormal = has_denormals(program)
    phase("noise")
    comparison.deviations = noisy(program, denormal, False)
    wrong = comparison.wrong(got)
    if not any(np.any(mask) for mask in wrong):
        return "denormal" if denormal else "sensitive", references, wrong
    phase("alternatives")
    for reference in alternatives(program):
        if isinstance(reference, Failure) or [x.shape for x in reference] != [x.shape for x in want]:
            continue
        references.append(reference)
        still = comparison.wrong(got)
        if not any(np.any(mask) for mask in still):
            return "reference", references, still
        wrong = still
    phase("documented")
    comparison.deviations = noisy(program, denormal, True)
    still = comparison.wrong(got)
    if not any(np.any(mask) for mask in still):
        return "documented", references, still
    return "", references, wrong


def alternatives(program: Program) -> Iterator[Any]:
    """XLA:CPU's answers without rewrites across ops and without excess precision."""
    function = compiled_function(program)
    settings = {"mode": program.mode, "constants": program.constants, "donated": frozenset()}
    with jax.default_device(device("cpu")):
        inner, arguments = modes.prepared(function, program.inputs, settings)
        placed = [jax.device_put(x, device("cpu")) for x in arguments]
        yield attempt(lambda: jax.tree.leaves(inner(*placed)))
        options = {"xla_allow_excess_precision": False}
        yield attempt(lambda: jax.tree.leaves(jax.jit(inner, compiler_options=options)(*placed)))


def noisy(program: Program, denormal: bool, differences: bool) -> list | None:
    """Results of the reference under noise, and with documented differences."""
    settings = {"mode": program.mode, "constants": program.constants}
    count = CHOICES if denormal or differences else SAMPLES
    with jax.default_device(device("cpu")):
        try:
            function, arguments = modes.prepared(compiled_function(program), program.inputs, settings)
            leaves = lambda *values: jax.tree.leaves(function(*values))  # noqa: E731
            return noise.samples(leaves, arguments, denormal, differences, count)
        except Exception as error:  # noqa: BLE001  no excuse then
            print(f"no noise for this program: {error}", file=sys.stderr)
            return None


def has_denormals(program: Program) -> bool:
    """Whether the platform under test meets denormal numbers in the program."""
    settings = {"mode": program.mode, "constants": program.constants}
    with jax.default_device(device(os.environ["JAX_MPS_TEST_PLATFORM"])):
        try:
            function, arguments = modes.prepared(compiled_function(program), program.inputs, settings)
            return noise.meets_denormals(lambda *values: jax.tree.leaves(function(*values)), arguments)
        except Exception as error:  # noqa: BLE001  no excuse then
            print(f"no search for denormal numbers in this program: {error}", file=sys.stderr)
            return False


# Comparing


class Comparison:
    """Which elements of a result agree with none of the references."""

    def __init__(self, program: Program, references: list[list]) -> None:
        self.references = references
        self.deviations: list[list] | None = None
        self.kinds = [program.kinds_behind(output) for output in program.outputs]
        self.derivative = {"derivative"} | {step.kind for step in program.steps}

    def wrong(self, got: list) -> list[np.ndarray]:
        masks = []
        for index, one in enumerate(got):
            mask = np.ones(one.shape, bool)
            for reference in self.references:
                mask &= self.differs(index, one, reference[index], self.references[0][index])
            masks.append(mask)
        return masks

    def differs(self, index: int, one: np.ndarray, other: np.ndarray, first: np.ndarray) -> np.ndarray:
        samples = [sample[index] for sample in self.deviations] if self.deviations else []
        if other.dtype == jax.dtypes.float0:
            return np.zeros(one.shape, bool)
        if other.dtype.name not in TOLERANCE:
            mask = bits(one) != bits(other)
            for sample in samples:
                mask &= bits(sample) == bits(first)
            return mask
        # Derivatives follow the results.
        kinds = self.kinds[index] if index < len(self.kinds) else self.derivative
        if kinds <= {"move"}:
            return differs_exactly(one, other)
        if not np.iscomplexobj(other):
            wrong = real_differs(one, other, np.abs(other.astype(np.float64)), first, samples, kinds)
        else:
            size = np.abs(other.astype(np.complex128))
            wrong = real_differs(one.real, other.real, size, first.real, [x.real for x in samples], kinds)
            wrong |= real_differs(one.imag, other.imag, size, first.imag, [x.imag for x in samples], kinds)
        if "mixture" in kinds:
            wrong &= np.isfinite(one.astype(np.complex128)) | np.isfinite(other.astype(np.complex128))
        return wrong


def real_differs(
    one: np.ndarray, other: np.ndarray, size: np.ndarray, first: np.ndarray, samples: list[np.ndarray], kinds: set[str]
) -> np.ndarray:
    """Where real numbers are farther apart than the tolerance at ``size`` and noise allow."""
    tolerance = TOLERANCE[{4: "float32", 8: "float64"}.get(other.dtype.itemsize, other.dtype.name)]
    relative = tolerance.gradient if "derivative" in kinds else tolerance.value
    tiny = 2 * float(ml_dtypes.finfo(other.dtype).tiny)
    flips, spread = spreads(first, samples)
    finite = np.any([np.isfinite(sample.astype(np.float64)) for sample in samples], axis=0) if samples else flips
    one, other = one.astype(np.float64), other.astype(np.float64)
    with np.errstate(all="ignore"):
        bound = relative * np.where(np.isfinite(size), size, 0) + tiny + SLACK * spread
        same = (one == other) | (np.isnan(one) & np.isnan(other))
        flips &= finite | np.isfinite(first.astype(np.float64)) | ~np.isfinite(one)
        return ~(same | flips | (np.abs(one - other) <= bound))


def spreads(first: np.ndarray, samples: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Where noise makes NaN or infinity come or go, and how far it moves the other elements."""
    first = first.astype(np.float64)
    flips, spread = np.zeros(first.shape, bool), np.zeros(first.shape)
    with np.errstate(all="ignore"):
        for sample in (x.astype(np.float64) for x in samples):
            flips |= (np.isnan(sample) != np.isnan(first)) | (np.isinf(sample) != np.isinf(first))
            flips |= np.isinf(sample) & (sample != first)
            away = np.abs(sample - first)
            spread = np.maximum(spread, np.where(np.isfinite(away), away, 0))
    return flips, spread


def bits(x: np.ndarray) -> np.ndarray:
    """The array as integers; NaNs are one, for arithmetic on small floats may choose any."""
    if x.dtype.kind in "biu" and x.dtype.name[:3] != "flo":
        return x
    if "int" in x.dtype.name:
        return x.astype(np.int8)
    integers = x.view(np.dtype(f"u{x.dtype.itemsize}"))
    if is_inexact(x.dtype):
        return np.where(np.isnan(x.astype(np.float32)), np.iinfo(integers.dtype).max, integers)
    return integers


def differs_exactly(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Other bits, signs of zeros too; all NaNs are one."""
    if np.iscomplexobj(one):
        return differs_exactly(one.real, other.real) | differs_exactly(one.imag, other.imag)
    one, other = one.astype(np.float64), other.astype(np.float64)
    same = (one == other) & (np.signbit(one) == np.signbit(other))
    return ~(same | (np.isnan(one) & np.isnan(other)))


def describe(got: list, want: list, wrong: list) -> str:
    lines = []
    for index, (one, other, mask) in enumerate(zip(got, want, wrong, strict=True)):
        if np.any(mask):
            places = np.argwhere(mask)[:4]
            examples = "; ".join(f"{[int(i) for i in p]}: mps {one[tuple(p)]!r}, cpu {other[tuple(p)]!r}" for p in places)
            lines.append(f"result {index} {other.dtype}{list(other.shape)}, {int(mask.sum())} of {mask.size}: {examples}")
    return "\n".join(lines)


def ops_of(program: Program) -> set[str]:
    """Names of the ops, without their dialect, that JAX sends for the program."""
    settings = {"mode": program.mode, "constants": program.constants}
    with surroundings(program):
        function, arguments = modes.prepared(compiled_function(program), program.inputs, settings)
        try:
            lowered = jax.jit(function).trace(*arguments).lower(lowering_platforms=("mps",))
        except Exception:  # noqa: BLE001  no program: nothing is sent
            return set()
        text = lowered.as_text()
    names = set(re.findall(r'"?\bstablehlo\.([a-z_0-9]+)', text))
    return names | ({"func.call"} if "call @" in text else set())
