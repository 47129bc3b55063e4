"""Seed to program."""

from __future__ import annotations

import random
import warnings

import jax

from fuzz import control, elementwise, indexing, products, reductions, shapes
from fuzz.builder import Builder, Unfit
from fuzz.program import Program

FAMILIES = (elementwise, shapes, indexing, reductions, products, control)
GENERATORS = {maker: weight for family in FAMILIES for maker, weight in family.GENERATORS.items()}
MODES = {"jit": 10, "eager": 1, "vmap": 2, "jvp": 1, "grad": 2}


def generate(seed: int, x64: bool | None = None) -> Program:
    """The program of a seed. ``x64``: with 64-bit types or without; one in five has them unless it is given."""
    choose = random.Random(f"program {seed}")
    wide = choose.random() < 0.2
    if x64 is not None:
        wide = x64
    mode = choose.choices(list(MODES), list(MODES.values()))[0]
    host = choose.random() < 0.3
    length = choose.choice((1, 1, 2, 2, 3, 4, 5, 6, 8, 10))
    with jax.enable_x64(wide), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        builder = Builder(choose.getrandbits(64), wide)
        attempts = 0
        while len(builder.steps) < length and attempts < 20 * length + 20:
            attempts += 1
            maker = choose.choices(list(GENERATORS), list(GENERATORS.values()))[0]
            try:
                maker(builder)
            except Unfit:
                continue
        return builder.program(seed, mode, host)
