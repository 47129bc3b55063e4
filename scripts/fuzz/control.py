"""Steps with functions in them: loops, branches, maps, derivatives, custom rules; and random numbers."""

from __future__ import annotations

from fuzz.builder import Builder
from fuzz.shapes import any_value

# Bodies that keep shape and type, and do not grow without end.
SMOOTH = ("lax.sin({})", "lax.tanh({})", "{} * 0.5", "lax.logistic({})", "0.9 * {} + 0.1", "-{}", "{} * {} * 0.1", "lax.atan({})", "lax.cos({})")
STRUCTURAL = ("lax.rev({}, ({rank0},))", "jnp.roll({}, 1)", "jnp.cumsum({}, axis=0) * 0.1", "{}.at[0].add(1.0)", "lax.sort({}, dimension=0)")
WHOLE = ("{} + 1", "{} * 3", "{} ^ 5", "~{}", "-{}", "{} // 2", "jnp.maximum({}, 2)", "{} & 7", "jnp.where({} > 3, {}, {} + 2)")


def body(b: Builder, x: str, name: str, depth: int | None = None) -> str:
    """An expression in the variable ``name``, which has the type of the value x."""
    options = list(SMOOTH if b.dtype(x) in b.types.inexact else WHOLE)
    if b.dtype(x) == "bool":
        options = ["~{}", "{} | True", "{} ^ {}"]
    if b.dtype(x) in b.types.reals and b.of(x) and b.of(x)[0] > 0:
        options += STRUCTURAL
    text = name
    for _ in range(depth or b.integer(1, 3)):
        text = b.choice(options).replace("{rank0}", "0").replace("{}", f"({text})" if text != name else name)
    if "uint" in b.dtype(x):
        text = text.replace("-(", "~(").replace(f"-{name}", f"~{name}")
    # Weak types and promotion must not change the carry's type.
    return f"jnp.asarray({text}, {x}.dtype)"


def kind_of(b: Builder, x: str) -> str:
    return "sum" if b.dtype(x) in b.types.inexact else "move"


def carry(b: Builder) -> str:
    return b.value(b.types.all)


def fori_loop(b: Builder) -> None:
    x = carry(b)
    count = b.choice(("0", "1", "2", "3", "5", "17"))
    if b.chance(0.3):
        n = b.value(("int32",), shape=())
        count = f"lax.clamp(0, {n}, 6)"
    start = b.choice(("0", "0", "1", "-2"))
    text = body(b, x, "c")
    if b.chance(0.3) and b.dtype(x) != "bool":
        text = f"({text} + i.astype(c.dtype))"
    b.step(f"lax.fori_loop({start}, {count}, lambda i, c: {text}, {x})", kind_of(b, x))


def while_loop(b: Builder) -> None:
    x = carry(b)
    n = b.value(("int32",), shape=())
    condition = b.choice(("s[0] < 5", "(s[0] < 9) & (s[0] * s[0] < 30)", f"s[0] < lax.clamp(0, {n}, 7)"))
    b.step(
        f"lax.while_loop(lambda s: {condition}, lambda s: (s[0] + {b.integer(1, 2)}, {body(b, x, 's[1]')}), (0, {x}))[1]",
        kind_of(b, x),
    )


def while_on_values(b: Builder) -> None:
    x = b.value(b.types.integers)
    b.step(
        f"lax.while_loop(lambda s: (s[0] < 6) & jnp.any(s[1] > 2), lambda s: (s[0] + 1, lax.shift_right_logical(s[1], jnp.array(1, {x}.dtype))), (0, {x}))",
        "move", 2,
    )  # fmt: skip


def scan(b: Builder) -> None:
    xs = b.value(b.types.numbers, fits=lambda shape: len(shape) > 0)
    c = b.value((b.dtype(xs),), shape=b.of(xs)[1:])
    reverse, unroll = b.chance(0.3), b.choice((1, 1, 2))
    text = f"lambda c, x: ({body(b, c, 'c', 1)} + x, {b.choice(('c', 'c + x', 'x', '(c * x).sum()'))})"
    if b.chance(0.5):
        b.step(f"lax.scan({text}, {c}, {xs}, reverse={reverse}, unroll={unroll})", kind_of(b, c), 2)
    else:
        b.step(f"lax.scan(lambda c, _: ({body(b, c, 'c', 1)}, c), {c}, None, length={b.integer(0, 5)})", kind_of(b, c), 2)


def associative_scan(b: Builder) -> None:
    x = b.value(b.types.numbers, fits=lambda shape: len(shape) > 0 and shape[0] > 0)
    b.step(f"lax.associative_scan(lambda x, y: {b.choice(('x + y', 'x * y', 'x + y + x * y'))}, {x}, reverse={b.chance(0.4)})", kind_of(b, x))


def cond(b: Builder) -> None:
    x = carry(b)
    which = b.value(("bool",), shape=())
    b.step(f"lax.cond({which}, lambda c: {body(b, x, 'c')}, lambda c: {body(b, x, 'c')}, {x})", kind_of(b, x))


def switch(b: Builder) -> None:
    x = carry(b)
    which = b.value(("int32",), shape=(), fresh=0.6)
    branches = ", ".join(f"lambda c: {body(b, x, 'c')}" for _ in range(b.integer(1, 4)))
    b.step(f"lax.switch({which}, [{branches}], {x})", kind_of(b, x))


def mapped(b: Builder) -> None:
    x = b.value(b.types.all, fits=lambda shape: len(shape) > 0)
    b.step(f"lax.map(lambda c: {body(b, x, 'c')}, {x})", kind_of(b, x))


def nested(b: Builder) -> None:
    x = carry(b)
    wrapper = b.choice(("jax.jit", "jax.checkpoint", "lambda f: lax.composite(f, 'fuzz.inner')", "lambda f: jax.named_call(f, name='inner')"))
    b.step(f"({wrapper})(lambda c: {body(b, x, 'c')})({x})", kind_of(b, x))


def vmapped(b: Builder) -> None:
    """Ops under vmap, with an operand that is mapped and one that is not."""
    x = b.value(b.types.numbers, fits=lambda shape: len(shape) >= 2 and 0 not in shape)
    shape = b.of(x)
    axis = b.integer(0, len(shape) - 1)
    row = shape[:axis] + shape[axis + 1 :]
    y = b.value((b.dtype(x),), shape=row)
    n = b.value(("int32",), shape=(shape[axis],), fresh=0.6)
    real = b.dtype(x) not in b.types.complex
    out = b.integer(0, 1)
    one = b.choice((
        f"lambda r, i: lax.dynamic_index_in_dim(r, i, keepdims={b.chance(0.5)})",
        "lambda r, i: lax.dynamic_update_index_in_dim(r, jnp.zeros_like(r[0]), i, 0)",
        f"lambda r, i: r + {y}",
        "lambda r, i: jnp.where(i > 1, r, 2 * r)",
        "lambda r, i: r.at[i].add(1)",
        "lambda r, i: r.at[i].set(0)",
        "lambda r, i: r[i]",
        f"lambda r, i: jnp.tensordot(r, {y}, len(r.shape))",
        "lambda r, i: lax.cond(i > 0, lambda c: c + 1, lambda c: c * 2, r)",
        "lambda r, i: lax.fori_loop(0, jnp.clip(i, 0, 4), lambda _, c: c + 1, r)",
        "lambda r, i: lax.switch(i, [lambda c: c, lambda c: c * 2, lambda c: c - 1], r)",
        "lambda r, i: jnp.cumsum(r, axis=0)",
        "lambda r, i: jnp.sort(r, axis=0)" if real else "lambda r, i: r * 2",
        "lambda r, i: jnp.argmax(r)" if real else "lambda r, i: r.real",
    ))  # fmt: skip
    b.step(f"jax.vmap({one}, in_axes=({axis}, 0), out_axes={out})({x}, {n})", kind_of(b, x))


def derivative(b: Builder) -> None:
    x = b.value(("float32", "float32", "bfloat16", "float16") + (("float64",) if b.x64 else ()))
    text = body(b, x, "c")
    y = b.value((b.dtype(x),), shape=b.of(x))
    b.step(
        b.choice((
            f"jax.grad(lambda c: jnp.sum({text}))({x})",
            f"jax.value_and_grad(lambda c: jnp.sum({text} * {y}))({x})[1]",
            f"jax.jvp(lambda c: {text}, ({x},), ({y},))[1]",
            f"jax.vjp(lambda c: {text}, {x})[1]({y})[0]",
            f"jax.linearize(lambda c: {text}, {x})[1]({y})",
            f"jax.jacfwd(lambda c: {text})({x})",
            f"jax.jacrev(lambda c: {text})({x})",
            f"jax.hessian(lambda c: jnp.sum({text}))({x})",
            f"jax.grad(lambda c: jnp.sum(lax.scan(lambda s, r: ({body(b, x, 's', 1)} + r, s), jnp.zeros_like(c), jnp.stack([c, {y}]))[0]))({x})",
            f"jax.jvp(lambda c: lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, {body(b, x, 's[1]', 1)}), (0, c))[1], ({x},), ({y},))[1]",
        )),
        "sum",
    )  # fmt: skip


def barrier(b: Builder) -> None:
    x, y = b.value(b.types.all), b.value(b.types.all)
    b.step(f"lax.optimization_barrier(({x}, {y}))", "move", 2)


def custom_rule(b: Builder) -> None:
    x = b.value(("float32", "bfloat16"))
    text = body(b, x, "c")
    b.step(
        b.choice((
            f"jax.grad(lambda x: jnp.sum(jax.numpy.vectorize(lambda c: lax.tanh(c))(x)))({x})",
            f"jax.grad(lambda x: jnp.sum(jax.nn.relu(x)))({x})",
            f"jax.grad(lambda x: jnp.sum(lax.stop_gradient({text.replace('c', 'x') if text == 'c' else 'x'}) * x))({x})",
            f"lax.custom_root(lambda y: y - lax.tanh({x}), {x} * 0, lambda f, y: lax.fori_loop(0, 2, lambda i, y: y - f(y), y), lambda g, y: y)",
        )),
        "sum",
    )  # fmt: skip


def random_numbers(b: Builder) -> None:
    shape = b.shape(rank=b.integer(0, 3))
    key = f"jax.random.key({b.integer(0, 1000)}" + b.choice((")", ")", ", impl='rbg')", ", impl='unsafe_rbg')"))
    if b.chance(0.4):
        seed = b.value(("uint32", "int32"), shape=())
        key = f"jax.random.key({seed}{key.partition(',')[1]}{key.partition(',')[2]}" if "," in key else f"jax.random.key({seed})"
    if b.chance(0.3):
        key = f"jax.random.fold_in({key}, {b.integer(0, 9)})"
    width = b.choice(b.types.unsigned)
    real = b.choice(("float32", "bfloat16", "float16") + (("float64",) if b.x64 else ()))
    low = b.integer(-100, 0)
    exact = b.choice((
        f"jax.random.bits({key}, {shape}, {width!r})",
        f"jax.random.key_data(jax.random.split({key}, {b.integer(0, 4)}))",
        f"jax.random.randint({key}, {shape}, {low}, {b.integer(1, 100)}, {b.choice(b.types.signed)!r})",
        f"jax.random.bernoulli({key}, 0.3, {shape})",
        f"jax.random.permutation({key}, {b.integer(0, 9)})",
        f"jax.random.choice({key}, 7, {shape})",
        f"jax.random.uniform({key}, {shape}, {real!r})",
    ))  # fmt: skip
    close = b.choice((
        f"jax.random.uniform({key}, {shape}, {real!r}, -2.0, 3.0)",
        f"jax.random.normal({key}, {shape}, {b.choice((real, 'complex64'))!r})",
        f"jax.random.truncated_normal({key}, -1.0, 2.0, {shape}, {real!r})",
        f"jax.random.{b.choice(('exponential', 'gumbel', 'laplace', 'logistic', 'cauchy', 'rademacher'))}({key}, {shape})",
        f"jax.random.{b.choice(('gamma', 'poisson', 'chisquare', 't'))}({key}, 2.5, {shape})",
        f"jax.random.beta({key}, 2.5, 0.5, {shape})",
        f"jax.random.categorical({key}, jnp.arange(4.0), shape={shape})",
        f"jax.random.multivariate_normal({key}, jnp.ones(2), jnp.eye(2), {shape})",
    ))  # fmt: skip
    if b.chance(0.6):
        b.step(exact, "move")
    else:
        b.step(close, "sum")


def bit_generator(b: Builder) -> None:
    algorithm = b.choice(("RNG_DEFAULT", "RNG_PHILOX", "RNG_THREE_FRY"))
    key = b.value(("uint32",), shape=(4,) if algorithm != "RNG_THREE_FRY" else (4,))
    b.step(
        f"lax.rng_bit_generator({key}, {b.shape()}, dtype={b.choice(b.types.unsigned)!r}, algorithm=lax.RandomAlgorithm.{algorithm})",
        "move", 2,
    )  # fmt: skip


def shuffle_values(b: Builder) -> None:
    x = any_value(b, fits=lambda shape: len(shape) > 0)
    b.step(f"jax.random.permutation(jax.random.key({b.integer(0, 99)}), {x}, axis={b.integer(0, len(b.of(x)) - 1)}, independent={b.chance(0.3)})", "move")


GENERATORS = {
    fori_loop: 2, while_loop: 2, while_on_values: 1, scan: 3, associative_scan: 1, cond: 2, switch: 2, mapped: 1, nested: 1,
    vmapped: 3, derivative: 3, custom_rule: 1, barrier: 0.7, random_numbers: 3, bit_generator: 1, shuffle_values: 0.5,
}  # fmt: skip
