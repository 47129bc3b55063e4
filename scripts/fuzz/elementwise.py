"""Steps that look at one element at a time."""

from __future__ import annotations

import numpy as np

from fuzz.builder import FLOAT8, INT4, Builder

# name, the types it takes, kind of its result
UNARY = [
    ("lax.neg", "numbers", "move"),
    ("lax.abs", "signed", "move"),
    ("lax.abs", "reals", "move"),
    ("lax.abs", "complex", "round"),
    ("lax.sign", "integers", "move"),
    ("lax.sign", "inexact", "round"),
    *((f"lax.{name}", "reals", "move") for name in ("floor", "ceil", "round", "is_finite")),
    ("jnp.rint", "reals", "move"),
    ("jnp.round", "reals", "move"),
    ("jnp.trunc", "reals", "move"),
    *(
        (f"lax.{name}", "inexact", "round")
        for name in (
            "exp exp2 expm1 log log1p sqrt rsqrt sin cos tan sinh cosh tanh logistic asin acos atan asinh acosh atanh"
        ).split()
    ),
    ("lax.square", "numbers", "round"),
    ("lax.cbrt", "reals", "round"),
    *((f"lax.{name}", "reals", "round") for name in ("erf", "erfc", "erf_inv", "lgamma", "digamma")),
    *((f"lax.{name}", "reals", "round") for name in ("bessel_i0e", "bessel_i1e")),
    *((f"lax.{name}", "integers", "move") for name in ("bitwise_not", "population_count", "clz")),
    ("lax.bitwise_not", "bool", "move"),
    *((f"lax.{name}", "complex", "move") for name in ("real", "imag", "conj")),
    *((f"jnp.{name}", "inexact", "round") for name in ("reciprocal", "log2", "log10", "sinc", "angle")),
    *((f"jnp.{name}", "inexact", "move") for name in ("isnan", "isinf", "signbit", "nan_to_num")),
    *((f"jax.nn.{name}", "reals", "round") for name in ("relu", "gelu", "silu", "softplus", "elu", "selu", "hard_tanh")),
    *((f"jax.scipy.special.{name}", "reals", "round") for name in ("i0", "i1", "ndtr", "log_ndtr", "entr", "spence")),
]

BINARY = [
    *((f"lax.{name}", "numbers", "round") for name in ("add", "sub", "mul")),
    ("lax.div", "numbers", "round"),
    ("lax.rem", "ordered", "round"),
    *((f"lax.{name}", "ordered", "move") for name in ("max", "min")),
    *((f"lax.{name}", "bool", "move") for name in ("max", "min")),
    *((f"lax.{name}", "inexact", "round") for name in ("pow",)),
    ("lax.atan2", "reals", "round"),
    ("lax.nextafter", "reals", "move"),
    *((f"lax.{name}", "integers", "move") for name in ("bitwise_and", "bitwise_or", "bitwise_xor")),
    *((f"lax.{name}", "bool", "move") for name in ("bitwise_and", "bitwise_or", "bitwise_xor")),
    *((f"lax.{name}", "integers", "move") for name in ("shift_left", "shift_right_logical", "shift_right_arithmetic")),
    *((f"lax.{name}", "all", "move") for name in ("eq", "ne")),
    *((f"lax.{name}", "ordered", "move") for name in ("lt", "le", "gt", "ge")),
    *((f"lax.{name}", "bool", "move") for name in ("lt", "ge")),
    *((f"lax.{name}", "reals", "round") for name in ("igamma", "igammac", "random_gamma_grad", "zeta", "polygamma")),
    *((f"jnp.{name}", "ordered", "round") for name in ("floor_divide", "mod")),
    *((f"jnp.{name}", "reals", "round") for name in ("hypot", "logaddexp", "fmod", "heaviside", "xlogy")),
    *((f"jnp.{name}", "reals", "move") for name in ("copysign", "fmax", "fmin")),
    *((f"jnp.{name}", "integers", "move") for name in ("gcd", "bitwise_left_shift")),
    ("jnp.power", "numbers", "round"),
]
BINARY = [(name.replace("jnp.xlogy", "jax.scipy.special.xlogy"), *rest) for name, *rest in BINARY]


def types_of(b: Builder, group: str) -> tuple[str, ...]:
    return ("bool",) if group == "bool" else getattr(b.types, group)


def kind_for(b: Builder, kind: str, name: str) -> str:
    """Arithmetic of integers is exact."""
    exact = "int" in b.dtype(name) or b.dtype(name) == "bool"
    return "move" if exact else kind


def unary(b: Builder) -> None:
    function, group, kind = b.choice(UNARY)
    x = b.value(types_of(b, group))
    b.step(f"{function}({x})", kind_for(b, kind, x))


def integer_pow(b: Builder) -> None:
    x = b.value(b.types.numbers)
    low = -3 if b.dtype(x) in b.types.inexact else 0
    b.step(f"lax.integer_pow({x}, {b.integer(low, 5)})", kind_for(b, "round", x))


def binary(b: Builder) -> None:
    function, group, kind = b.choice(BINARY)
    x = b.value(types_of(b, group))
    y = b.value((b.dtype(x),), shape=b.of(x))
    b.step(f"{function}({x}, {y})", kind_for(b, kind, x))


def mixed(b: Builder) -> None:
    """NumPy's operators with broadcasting and promotion of types."""
    x = b.value(b.types.numbers)
    shape = tuple(1 if b.chance(0.3) else size for size in b.of(x))[b.integer(0, len(b.of(x))) :]
    y = b.value(b.types.numbers, shape=shape)
    operator = b.choice(("+", "-", "*", "/", "//", "%", "<", "==", ">="))
    if operator in ("//", "%", "<", ">=") and "complex" in b.dtype(x) + b.dtype(y):
        operator = "+"
    other = b.choice(("2", "-1", "0.5", "3.0")) if b.chance(0.2) else y
    left, right = (x, other) if b.chance(0.5) else (other, x)
    b.step(f"{left} {operator} {right}", "round")


def select(b: Builder) -> None:
    x = b.value(b.types.all)
    y = b.value((b.dtype(x),), shape=b.of(x))
    which = b.value(("bool",), shape=b.choice((b.of(x), ())))
    b.step(f"lax.select_n({which}, {x}, {y})", "move")


def select_many(b: Builder) -> None:
    x = b.value(b.types.all)
    others = [b.value((b.dtype(x),), shape=b.of(x)) for _ in range(b.integer(1, 3))]
    index = b.value(("int32",), shape=b.of(x))
    b.step(f"lax.select_n(jnp.clip({index}, 0, {len(others)}), {x}, {', '.join(others)})", "move")


def clamp(b: Builder) -> None:
    x = b.value(b.types.ordered)
    ends = sorted(b.choice((-3, -1, 0, 1, 2, 5)) for _ in range(2))
    if "uint" in b.dtype(x):
        ends = [abs(end) for end in ends]
    low, high = (f"jnp.array({end}, {x}.dtype)" for end in sorted(ends))
    if b.chance(0.3):
        low = b.value((b.dtype(x),), shape=b.of(x))
        high = f"lax.max({low}, {b.value((b.dtype(x),), shape=b.of(x))})"
    b.step(f"lax.clamp({low}, {x}, {high})", "move")


def convert(b: Builder) -> None:
    x = b.value(b.types.storable)
    options = b.types.all + INT4 + FLOAT8
    if "complex" in b.dtype(x):
        options = b.types.complex
    wanted = b.choice(options)
    b.step(f"lax.convert_element_type({x}, {wanted!r})", "move")


def reduce_precision(b: Builder) -> None:
    x = b.value(b.types.reals)
    b.step(f"lax.reduce_precision({x}, {b.integer(2, 8)}, {b.integer(1, 10)})", "move")


def bitcast(b: Builder) -> None:
    """Of inputs and what was moved of them: arithmetic may choose the bits of NaN."""
    x = b.value(b.types.integers + b.types.reals, untouched=True, fresh=0.5)
    bits = np.dtype(b.dtype(x)).itemsize
    options = [name for name in b.types.integers + b.types.reals if np.dtype(name).itemsize == bits or b.chance(0.3)]
    wanted = b.choice(options)
    b.step(f"lax.bitcast_convert_type({x}, {wanted!r})", "move")


def complex_number(b: Builder) -> None:
    x = b.value(("float32",))
    b.step(f"lax.complex({x}, {b.value(('float32',), shape=b.of(x))})", "move")


def betainc(b: Builder) -> None:
    x = b.value(("float32",))
    y, z = (b.value(("float32",), shape=b.of(x)) for _ in range(2))
    b.step(f"lax.betainc(lax.abs({x}) + 0.5, lax.abs({y}) + 0.5, lax.logistic({z}))", "sum")


def expi(b: Builder) -> None:
    """Of positive numbers: JAX's loop does not end for some with small negative ones, [1.0, -1e-30], on XLA:CPU neither."""
    x = b.value(b.types.reals)
    b.step(f"jax.scipy.special.expi(lax.abs({x}) + jnp.array(0.5, {x}.dtype))", "sum")


GENERATORS = {
    unary: 14,
    integer_pow: 1,
    binary: 12,
    mixed: 5,
    select: 2,
    select_many: 1,
    clamp: 1,
    convert: 5,
    reduce_precision: 1,
    bitcast: 2,
    complex_number: 1,
    betainc: 0.3,
    expi: 0.3,
}
