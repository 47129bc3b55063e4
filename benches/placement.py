"""Measures the constants by which src/kernel/cost.rs places programs, and prints them beside those that stand there.

    python benches/placement.py

Each is a slope or an intercept of whole calls through JAX, which wait for their result: medians of alternating rounds. The
constants of GPUs are measured where the plugin runs on one.
"""

import argparse
import os
import pathlib
import re
import statistics
import time

import jax
import numpy as np

COST = pathlib.Path(__file__).resolve().parent.parent / "src" / "kernel" / "cost.rs"
PLACE = "JAX_MPS_PLACE"
LANES = 4  # numbers of a vector register, as in src/kernel/schedule.rs


def constants():
    """Those of the model: name -> number."""
    found = re.findall(r"^pub const (\w+): f64 = ([\d_.]+);", COST.read_text(), re.MULTILINE)
    return {name: float(number.replace("_", "")) for name, number in found}


def chain(operations):
    """So many multiplications and additions, each of which is one node of a graph."""

    def function(x):
        for index in range(operations // 2):
            x = x * 0.999 + (0.25 + index)
        return x

    return function


def exponentials(operations):
    """As many exponentials, of small numbers."""

    def function(x):
        for _ in range(operations):
            x = jax.numpy.exp(-x)
        return x

    return function


def compiled(device, place, function, size):
    """A call without arguments, which waits."""
    os.environ[PLACE] = place
    x = jax.device_put(np.linspace(0, 1, size, dtype=np.float32), device)
    call = jax.jit(function).lower(x).compile()
    return lambda: call(x).block_until_ready()


def medians(calls, rounds):
    """Nanoseconds of each call, by name; in turn, so that load from elsewhere is everybody's."""
    samples = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            repeats = 1
            while True:
                began = time.perf_counter()
                for _ in range(repeats):
                    call()
                elapsed = time.perf_counter() - began
                if elapsed > 1e-3 or repeats >= 1000:
                    break
                repeats *= 4
            samples[name].append(elapsed / repeats * 1e9)
    return {name: statistics.median(values) for name, values in samples.items()}


def measured(device, rounds):
    """Name -> nanoseconds."""
    small, few, many = 16, 2, 42
    middle, large, short = 200_000, 1_000_000, 20
    times = medians(
        {
            "native small": compiled(device, "host", chain(few), small),
            "native middle": compiled(device, "host", chain(short), middle),
            "native large": compiled(device, "host", chain(short), large),
            "library small": compiled(device, "device", chain(few), small),
            "library many": compiled(device, "device", chain(many), small),
            "library middle": compiled(device, "device", chain(short), middle),
            "library large": compiled(device, "device", chain(short), large),
            "native one": compiled(device, "host", chain(2), large),
            "library functions": compiled(device, "device", exponentials(4), large),
        },
        rounds,
    )
    node = (times["library many"] - times["library small"]) / (many - few)
    element = (times["library large"] - times["library middle"]) / (large - middle) / short
    # A load, and the operations.
    step = (times["native large"] - times["native middle"]) / (large - middle) / (short + 1)
    function = (times["library functions"] - times["library small"]) / large / 4 - 2 * element
    # An argument and a result, of which four bytes each.
    byte = ((times["native one"] - times["native small"]) / large - 3 * step) / 8
    on_gpu = "cpu" not in device.device_kind.lower()
    return {
        # The model counts what goes several at once by registers.
        "NATIVE_STEP": step * LANES,
        "NATIVE_BYTE": byte,
        "NATIVE_HAND_OVER": times["native middle"] - middle * (short + 1) * step - times["native small"],
        "LIBRARY_CALL": times["library small"] - few * node - times["native small"],
        "GPU_NODE" if on_gpu else "LIBRARY_NODE": node,
        "GPU_ELEMENT" if on_gpu else "LIBRARY_ELEMENT": element,
    } | (transfers(times) if on_gpu else {"LIBRARY_FUNCTION": function}), times


def transfers(times):
    """Of a GPU with memory of its own: what a native call takes beyond what it takes elsewhere."""
    return {"TRANSFER": times["native small"] / 2}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="rounds of which medians are taken (default: %(default)s)")
    arguments = parser.parse_args()
    jax.config.update("jax_platforms", "mps,cpu")
    device = jax.devices("mps")[0]
    model = constants()
    numbers, times = measured(device, arguments.rounds)
    print(f"{device.device_kind}; ns\n\n{'constant':20}{'measured':>12}{'cost.rs':>12}{'ratio':>8}")
    for name, number in numbers.items():
        print(f"{name:20}{number:12.2f}{model[name]:12.2f}{number / model[name]:8.2f}")
    print(f"\na call, with what JAX takes for it: {times['native small'] / 1e3:.1f} us native, ", end="")
    print(f"{times['library small'] / 1e3:.1f} us through mlx")


if __name__ == "__main__":
    main()
