"""A program under construction: values with their types, steps, inputs of random numbers."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import jax
import numpy as np

from fuzz.harness import is_inexact, limits, special_values
from fuzz.program import Program, Step, namespace

BOOL = ("bool",)
INT4 = ("int4", "uint4")
SIGNED, UNSIGNED = ("int8", "int16", "int32"), ("uint8", "uint16", "uint32")
HALVES, SINGLE, COMPLEX = ("bfloat16", "float16"), ("float32",), ("complex64",)
FLOAT8 = ("float8_e4m3fn", "float8_e5m2", "float8_e4m3b11fnuz", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e3m4", "float8_e4m3")
MOST_ELEMENTS = 4000


class Unfit(Exception):
    """The generator chose something that JAX does not take: another choice follows."""


class Types:
    """The element types of a program."""

    def __init__(self, x64: bool) -> None:
        self.signed = SIGNED + (("int64",) if x64 else ())
        self.unsigned = UNSIGNED + (("uint64",) if x64 else ())
        self.integers = self.signed + self.unsigned
        self.reals = SINGLE * 3 + HALVES + (("float64",) * 2 if x64 else ())
        self.complex = COMPLEX
        self.inexact = self.reals + COMPLEX
        self.numbers = self.integers + self.inexact * 2
        self.ordered = self.integers + self.reals * 2
        self.all = BOOL + self.numbers
        self.storable = self.all + INT4 + FLOAT8
        self.lapack = ("float32", "float32", "complex64") + (("float64",) if x64 else ())


class Builder:
    """Draws from ``random`` only, so that a seed makes one program."""

    def __init__(self, seed: int, x64: bool) -> None:
        self.random = random.Random(seed)
        self.types, self.x64 = Types(x64), x64
        self.inputs: dict[str, np.ndarray] = {}
        self.steps: list[Step] = []
        self.avals: dict[str, jax.ShapeDtypeStruct] = {}
        self.untouched: set[str] = set()
        self.count = 0

    # Choices

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def choice(self, options: Sequence):
        return self.random.choice(options)

    def integer(self, low: int, high: int) -> int:
        return self.random.randint(low, high)

    def shape(self, rank: int | None = None, least: int = 0) -> tuple[int, ...]:
        if rank is None:
            rank = self.choice((0, 1, 1, 2, 2, 2, 3, 3, 4))
        if rank in (1, 2) and self.chance(0.04):  # large enough for other kernels
            return tuple(self.choice((33, 64, 129, 300)) if rank == 1 else self.choice((17, 40)) for _ in range(rank))
        sizes = [size for size in (0, 1, 1, 2, 3, 4, 5, 7) if size >= least]
        if self.chance(0.75):
            sizes = [size for size in sizes if size > 0]
        return tuple(self.choice(sizes) for _ in range(rank))

    # Values

    def fresh(self) -> str:
        self.count += 1
        return f"v{self.count - 1}"

    def dtype(self, name: str) -> str:
        return self.avals[name].dtype.name

    def of(self, name: str) -> tuple[int, ...]:
        return self.avals[name].shape

    def value(
        self,
        dtypes: Sequence[str],
        shape: tuple[int, ...] | None = None,
        fits: Callable[[tuple[int, ...]], bool] | None = None,
        fresh: float = 0.25,
        rank: int | None = None,
        least: int = 0,
        untouched: bool = False,
    ) -> str:
        """The name of a value of one of the types and of the shape; an input is made where there is none."""

        def suits(name: str) -> bool:
            aval = self.avals[name]
            return (
                aval.dtype.name in dtypes
                and (shape is None or aval.shape == shape)
                and (rank is None or len(aval.shape) == rank)
                and min(aval.shape, default=least) >= least
                and (fits is None or fits(aval.shape))
                and (not untouched or name in self.untouched)
            )

        known = [name for name in self.avals if suits(name)]
        if known and not self.chance(fresh):
            # The latest values first: programs are deep rather than wide.
            return known[-1] if self.chance(0.5) else self.choice(known)
        if shape is None:
            for _ in range(50):
                shape = self.shape(rank, least)
                if fits is None or fits(shape):
                    break
            else:
                raise Unfit("no shape fits")
        return self.input(numbers(self.random, self.choice(dtypes), shape))

    def input(self, value: np.ndarray) -> str:
        name = self.fresh()
        self.inputs[name] = value
        self.avals[name] = jax.ShapeDtypeStruct(value.shape, value.dtype)
        self.untouched.add(name)
        return name

    def step(self, expression: str, kind: str, results: int = 1) -> list[str]:
        """Adds a step if JAX takes it."""
        names = [name for name in self.avals if name in Step((), expression, kind).uses]
        scope = namespace()
        code = compile(f"lambda {', '.join(names)}: ({expression})", "step", "eval")
        try:
            found = jax.eval_shape(eval(code, scope), *(self.avals[name] for name in names))  # noqa: S307
        except Exception as error:
            raise Unfit(f"{expression}: {type(error).__name__}: {error}") from None
        leaves = list(found) if results > 1 or isinstance(found, (tuple, list)) else [found]
        if len(leaves) != results:
            raise Unfit(f"{expression}: {len(leaves)} results")
        for leaf in leaves:
            if math.prod(leaf.shape) > MOST_ELEMENTS or leaf.dtype.name == "complex128":
                raise Unfit(f"{expression}: {leaf}")
        targets = [self.fresh() for _ in leaves]
        for target, leaf in zip(targets, leaves):
            self.avals[target] = jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
            if kind == "move" and all(name in self.untouched for name in names):
                self.untouched.add(target)
        self.steps.append(Step(tuple(targets), expression, kind))
        return targets

    def program(self, seed: int, mode: str, host: bool) -> Program:
        used = set().union(*(step.uses for step in self.steps))
        targets = [target for step in self.steps for target in step.targets]
        ends = [target for target in targets if target not in used]
        outputs = targets if self.chance(0.3) else ends
        names = [name for name in self.inputs if name in used]
        constants = frozenset(name for name in names if self.chance(0.15))
        if not set(names) - constants or mode in ("vmap", "jvp", "grad"):
            constants = frozenset()
        donated = frozenset()
        if mode == "jit" and self.chance(0.2):
            donated = frozenset(name for name in names if name not in constants and self.chance(0.6))
        if self.chance(0.05):
            outputs = [*outputs, *names[:1]]
        program = Program(dict(self.inputs), tuple(self.steps), tuple(outputs), mode, self.x64, host, constants, donated, seed)
        return program.pruned()


def numbers(random: random.Random, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """An array of moderate numbers, of the whole range or with special values among them."""
    generator = np.random.default_rng(random.getrandbits(64))
    dtype = np.dtype(name)
    size = math.prod(shape)
    style = random.random()
    if name == "bool":
        return generator.random(shape) < 0.5
    if not is_inexact(dtype):
        low, high = limits(dtype)
        if style < 0.6:
            low, high = max(low, -9), min(high, 9)
        wide = np.uint64 if low >= 0 else np.int64
        values = generator.integers(low, high, size=size, endpoint=True, dtype=wide).astype(dtype)
    elif name.startswith("complex"):
        part = np.finfo(dtype).dtype.name
        values = np.empty(size, dtype)
        values.real = numbers(random, part, (size,))
        values.imag = numbers(random, part, (size,))
        return values.reshape(shape)
    else:
        scale = random.choice((1.0, 1.0, 1.0, 0.01, 100.0))
        values = generator.standard_normal(size) * scale
        if style < 0.2:
            values = np.round(values * 2) / 2  # ties
        with np.errstate(all="ignore"):
            values = values.astype(dtype)
    if style > 0.8 and size:
        special = special_values(dtype)
        chosen = generator.random(size) < random.choice((0.1, 0.5))
        values = np.where(chosen, generator.choice(special, size=size), values).astype(dtype)
    return values.reshape(shape)
