"""What the benchmark runs and how it times it: cases, arms, samples.

A case is the same computation written twice: as a JAX function, which runs on
`mps` (arm "ours") and on XLA:CPU (arm "cpu"), and by hand on `mlx.core` (arm
"mlx"). Before a case is timed the results of its arms are compared; an arm
that raises or disagrees is recorded as failed and takes no part in the timing.
"""

import dataclasses
import gc
import statistics
import time
import typing

import numpy as np

OURS, MLX, CPU = "ours", "mlx", "cpu"
ARMS = (OURS, MLX, CPU)

SAMPLE_SECONDS = 0.002  # a sample repeats the call until it lasts about this long
SCAN_STEPS = (200, 800)  # of the scans that show that time grows with the steps
LEAST_SAMPLES, MOST_SAMPLES = 7, 200


def scan_name(steps):
    return f"scan that stacks {steps} rows of 4096"


@dataclasses.dataclass
class Case:
    """One computation.

    `inputs` is a tuple of pytrees of numpy arrays; `jax` is jitted and called
    with them as device arrays, `mlx` is called with them as `mx.array`. Both
    return a pytree; `mlx` must return the same leaves, in the same order.
    """

    name: str
    kind: str  # "call" (dispatch only) or "kernel"
    inputs: tuple
    jax: typing.Callable
    mlx: typing.Callable
    tolerance: float = 1e-4  # of the largest magnitude of each result
    block: bool = True  # whether waiting for the result is part of the time
    seconds: float = 4.0  # time for all samples of all arms


@dataclasses.dataclass
class Timing:
    """Seconds per call over the samples of one arm, or why there are none."""

    samples: list = dataclasses.field(default_factory=list)
    error: str | None = None

    @property
    def median(self):
        return statistics.median(self.samples) if self.samples else None

    def quantile(self, fraction):
        return float(np.quantile(self.samples, fraction)) if self.samples else None

    def as_json(self):
        if self.error is not None:
            return {"error": self.error}
        return {
            "median_s": self.median,
            "p10_s": self.quantile(0.1),
            "p90_s": self.quantile(0.9),
            "samples": len(self.samples),
        }


@dataclasses.dataclass
class Result:
    name: str
    kind: str
    timings: dict  # arm -> Timing; an arm that a case does not have is absent

    def ratio(self, arm, reference):
        """Median over the rounds of `arm`'s time over `reference`'s; None when one has none.

        The samples of a round follow each other directly, so that load from elsewhere, which comes and goes, changes
        both.
        """
        first, second = self.timings.get(arm), self.timings.get(reference)
        if not first or not second or not first.samples or not second.samples:
            return None
        return statistics.median(a / b for a, b in zip(first.samples, second.samples))


class JaxArm:
    """Runs JAX functions on one device."""

    def __init__(self, device):
        import jax

        self.jax = jax
        self.device = device

    def prepare(self, case):
        inputs = self.jax.device_put(case.inputs, self.device)
        function = self.jax.jit(case.jax)
        if case.block:
            return lambda: self.jax.block_until_ready(function(*inputs))
        return lambda: function(*inputs)

    def finish(self, output):
        self.jax.block_until_ready(output)

    def leaves(self, output):
        return [np.asarray(leaf) for leaf in self.jax.tree.leaves(output)]


class MlxArm:
    """Runs hand-written functions on `mlx.core`."""

    def __init__(self):
        import jax
        import mlx.core as mx

        self.jax = jax  # for its tree functions only
        self.mx = mx
        # What a user of MLX would do: fuse on a GPU. On the CPU backend `mx.compile` calls g++
        # at run time and gains nothing (its kernels are scalar).
        self.compiled = mx.default_device() == mx.Device(mx.gpu)

    def prepare(self, case):
        inputs = self.jax.tree.map(self.mx.array, case.inputs)
        function = self.mx.compile(case.mlx) if self.compiled else case.mlx
        evaluate = self.mx.eval if case.block else self.mx.async_eval

        def call():
            output = function(*inputs)
            evaluate(output)
            return output

        return call

    def finish(self, output):
        self.mx.eval(output)

    def leaves(self, output):
        return [np.array(leaf) for leaf in self.jax.tree.leaves(output)]


def check_equal(leaves, reference, tolerance):
    """Raises AssertionError unless the leaves equal the reference."""
    assert len(leaves) == len(reference), f"{len(leaves)} results, expected {len(reference)}"
    for index, (leaf, expected) in enumerate(zip(leaves, reference)):
        assert leaf.shape == expected.shape, f"result {index}: shape {leaf.shape}, expected {expected.shape}"
        scale = float(np.max(np.abs(expected), initial=0.0))
        np.testing.assert_allclose(
            leaf.astype(np.float64),
            expected.astype(np.float64),
            rtol=tolerance,
            atol=tolerance * max(scale, 1e-6),
            err_msg=f"result {index}",
        )


def first_line(error):
    """The error as one short line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines)[:300]}"


def sample_alternating(calls, seconds, finish):
    """Times the calls in turn, sample by sample, for about `seconds` in all.

    `calls` maps an arm to its function, `finish` to the function that waits
    for an output. Returns a Timing for each arm.
    """
    repeats, spent = {}, 0.0
    for arm, call in calls.items():
        finish[arm](call())
        started = time.perf_counter()
        finish[arm](call())
        once = time.perf_counter() - started
        repeats[arm] = max(1, min(1000, round(SAMPLE_SECONDS / max(once, 1e-7))))
        spent += once * repeats[arm]
    count = max(LEAST_SAMPLES, min(MOST_SAMPLES, int(seconds / max(spent, 1e-6))))
    timings = {arm: Timing() for arm in calls}
    gc.collect()
    gc.disable()
    try:
        for _ in range(count):
            for arm, call in calls.items():
                times = range(repeats[arm])
                started = time.perf_counter()
                for _ in times:
                    output = call()
                elapsed = time.perf_counter() - started
                # Outside of the measured time: work that a non-blocking call left behind.
                finish[arm](output)
                timings[arm].samples.append(elapsed / repeats[arm])
    finally:
        gc.enable()
    return timings


def run_case(case, arms):
    """Checks and times a case on the arms (name -> arm object); returns a Result."""
    timings, calls, finish, reference = {}, {}, {}, None
    # XLA:CPU first: it is the reference for the others' results.
    for name in sorted(arms, key=lambda arm: arm != CPU):
        arm = arms[name]
        try:
            call = arm.prepare(case)
            output = call()
            arm.finish(output)
            leaves = arm.leaves(output)
            if reference is None:
                reference = leaves
            else:
                check_equal(leaves, reference, case.tolerance)
        except Exception as error:  # a failed arm is a result of the benchmark
            timings[name] = Timing(error=first_line(error))
        else:
            calls[name], finish[name] = call, arm.finish
    try:
        timings.update(sample_alternating(calls, case.seconds, finish))
    except Exception as error:
        timings.update({name: Timing(error=first_line(error)) for name in calls})
    return Result(case.name, case.kind, {name: timings[name] for name in arms})
