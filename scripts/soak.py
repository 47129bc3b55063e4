#!/usr/bin/env python3
"""Keeps the device busy from many threads and watches results and memory.

Each thread picks programs at random: plain ones, loops that wait for the device, donation, callbacks, callbacks that
fail, arrays deleted under way, copies between memories. Every result is compared with XLA:CPU's. After a warm-up the
memory of the process must stay where it is.

    scripts/soak.py --seconds 600 --threads 8

Prints what it did; 1 if a result was wrong, an error other than those provoked came up, or memory grew.
"""

from __future__ import annotations

import argparse
import collections
import os
import sys
import threading
import time

os.environ.setdefault("JAX_PLATFORMS", "mps,cpu")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import psutil  # noqa: E402
from jax.experimental import io_callback  # noqa: E402

PLATFORM = os.environ["JAX_PLATFORMS"].split(",")[0]
WARM_UP = 0.25
"""Part of the time in which memory may still grow: caches of compiled programs, pools of allocators."""


class Provoked(Exception):
    """What the callbacks raise that are to fail."""


def _fail(x):
    raise Provoked("provoked")


def _loop(x):
    def more(state):
        return (state[0] < 20) & (jnp.sum(jnp.isnan(state[1])) == 0)

    return jax.lax.while_loop(more, lambda s: (s[0] + 1, jnp.tanh(s[1]) * 1.01), (0, x))[1]


def _scan(x):
    return jax.lax.scan(lambda c, row: (c * 0.9 + row, c.sum()), jnp.zeros_like(x[0]), x)


def _step(w, x):
    return w - 0.1 * jax.grad(lambda w: jnp.mean((jnp.tanh(x @ w) - 1) ** 2))(w)


def _same(x):
    return jax.ShapeDtypeStruct(x.shape, x.dtype)


plain = jax.jit(lambda x: (jnp.sort(x, axis=0), x.T @ x, jnp.cumsum(x, axis=1)))
loop, scan = jax.jit(_loop), jax.jit(_scan)
step, donating = jax.jit(_step), jax.jit(_step, donate_argnums=0)
callback = jax.jit(lambda x: jax.pure_callback(lambda x: np.asarray(x) * 2, _same(x), x) + 1)
ordered = jax.jit(lambda x: io_callback(lambda x: np.float32(np.sum(x)), jax.ShapeDtypeStruct((), np.float32), x, ordered=True) + x)
failing = jax.jit(lambda x: jax.pure_callback(_fail, _same(x), x) * 2)
update = jax.jit(lambda x, i, v: x.at[i].add(v), donate_argnums=0)


class Soak:
    """What all threads share."""

    def __init__(self) -> None:
        self.device, self.reference = jax.devices(PLATFORM)[0], jax.devices("cpu")[0]
        self.problems: list[str] = []
        self.done: collections.Counter[str] = collections.Counter()
        self.stop = threading.Event()

    def same(self, name: str, ours, theirs) -> None:
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
            if not np.allclose(np.asarray(a), np.asarray(b), rtol=2e-4, atol=2e-4):
                difference = np.abs(np.asarray(a) - np.asarray(b)).max()
                self.problems.append(f"{name}: results differ by {difference}")

    def both(self, name: str, program, *arguments) -> None:
        ours = program(*(jax.device_put(x, self.device) for x in arguments))
        self.same(name, ours, program(*(jax.device_put(x, self.reference) for x in arguments)))

    def turn(self, random: np.random.Generator) -> str:
        x = random.normal(size=(16, 8)).astype(np.float32)
        w = random.normal(size=(8, 4)).astype(np.float32)
        kind = random.integers(9)
        if kind == 0:
            self.both("plain", plain, x)
            return "plain"
        if kind == 1:
            self.both("loop", loop, x)
            return "loop"
        if kind == 2:
            self.both("scan", scan, x)
            return "scan"
        if kind == 3:
            ours, theirs = jax.device_put(w, self.device), jax.device_put(w, self.reference)
            for _ in range(4):
                before = ours
                ours = donating(ours, jax.device_put(x, self.device))
                theirs = step(theirs, jax.device_put(x, self.reference))
                if not before.is_deleted():
                    self.problems.append("donation: the argument lives on")
            self.same("donation", ours, theirs)
            return "donation"
        if kind == 4:
            self.both("callback", callback, x)
            return "callback"
        if kind == 5:
            self.both("ordered callback", ordered, x)
            return "ordered callback"
        if kind == 6:
            try:
                jax.block_until_ready(loop(failing(jax.device_put(x, self.device))))
                self.problems.append("error: a failing callback went well")
            except jax.errors.JaxRuntimeError as error:
                if "provoked" not in str(error):
                    self.problems.append(f"error: another one came: {error}")
            return "error"
        if kind == 7:
            y = jax.device_put(x, self.device)
            running = loop(y)
            y.delete()
            result = plain(running)
            running.delete()
            self.same("deletion", result, plain(loop(jax.device_put(x, self.reference))))
            return "deletion"
        ours = jax.device_put(x, self.device)
        for row in range(4):
            ours = update(ours, row, np.float32(row))
        pinned = jax.device_put(ours, jax.sharding.SingleDeviceSharding(self.device, memory_kind="pinned_host"))
        expected = x.copy()
        expected[:4] += np.arange(4, dtype=np.float32)[:, None]
        self.same("memories", pinned, expected)
        return "memories"

    def work(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        while not self.stop.is_set() and len(self.problems) < 20:
            try:
                self.done[self.turn(random)] += 1
            except Exception as error:  # noqa: BLE001  (whatever it is, it is a finding)
                self.problems.append(f"unexpected {type(error).__name__}: {error}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--growth", type=float, default=0.02, help="by how much memory may grow after the warm-up")
    options = parser.parse_args()
    # The provoked errors are logged with their tracebacks: thousands of them.
    import logging

    logging.disable(logging.ERROR)
    soak, process = Soak(), psutil.Process()
    threads = [threading.Thread(target=soak.work, args=(seed,)) for seed in range(options.threads)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    samples: list[tuple[float, int]] = []
    while (elapsed := time.monotonic() - began) < options.seconds and any(thread.is_alive() for thread in threads):
        time.sleep(min(1.0, options.seconds / 50))
        samples.append((elapsed, process.memory_info().rss))
    soak.stop.set()
    for thread in threads:
        thread.join()
    settled = [rss for elapsed, rss in samples if elapsed >= WARM_UP * options.seconds]
    quarter = max(1, len(settled) // 4)
    first, last = (sorted(part)[len(part) // 2] for part in (settled[:quarter], settled[-quarter:]))
    growth = last / first - 1
    print(f"{sum(soak.done.values())} programs in {elapsed:.0f} s on {options.threads} threads: {dict(soak.done)}")
    print(f"memory: {first >> 20} MiB after the warm-up, {last >> 20} MiB at the end ({growth:+.1%})")
    print(f"threads at the end: {process.num_threads()}")
    for problem in soak.problems:
        print(f"problem: {problem}")
    if growth > options.growth:
        print(f"problem: memory grew by more than {options.growth:.0%}")
    return bool(soak.problems) or growth > options.growth


if __name__ == "__main__":
    sys.exit(main())
