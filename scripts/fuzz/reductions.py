"""Steps that gather many elements into one: reductions, cumulative ops, windows, sorts."""

from __future__ import annotations

from fuzz.builder import Builder
from fuzz.elementwise import kind_for


def some_axes(b: Builder, rank: int) -> tuple[int, ...]:
    return tuple(sorted(b.random.sample(range(rank), b.integer(0, rank))))


def with_axis(b: Builder, dtypes, least: int = 0) -> tuple[str, int]:
    x = b.value(dtypes, fits=lambda shape: len(shape) > 0 and min(shape) >= least)
    return x, b.integer(0, len(b.of(x)) - 1)


MONOIDS = (
    ("sum", "numbers", "sum"), ("prod", "numbers", "sum"), ("max", "ordered", "move"), ("min", "ordered", "move"),
    ("and", "integers", "move"), ("or", "integers", "move"), ("xor", "integers", "move"),
    ("and", "bool", "move"), ("or", "bool", "move"), ("max", "bool", "move"),
)  # fmt: skip


def reduce(b: Builder) -> None:
    name, group, kind = b.choice(MONOIDS)
    x = b.value(("bool",) if group == "bool" else getattr(b.types, group))
    b.step(f"lax.reduce_{name}({x}, {some_axes(b, len(b.of(x)))})", kind_for(b, kind, x))


def numpy_reduce(b: Builder) -> None:
    name, group, kind, least = b.choice((
        ("sum", "all", "sum", 0), ("prod", "all", "sum", 0), ("max", "ordered", "move", 1), ("min", "ordered", "move", 1),
        ("all", "all", "move", 0), ("any", "all", "move", 0), ("mean", "numbers", "sum", 1), ("var", "inexact", "sum", 2),
        ("std", "inexact", "sum", 2), ("nansum", "inexact", "sum", 0), ("nanmax", "reals", "move", 1),
        ("nanmean", "inexact", "sum", 1), ("median", "reals", "sum", 1), ("ptp", "ordered", "round", 1),
        ("count_nonzero", "all", "move", 0),
    ))  # fmt: skip
    x, axis = with_axis(b, getattr(b.types, group), least)
    which = b.choice((str(axis), "None"))
    b.step(f"jnp.{name}({x}, axis={which}, keepdims={b.chance(0.3)})", kind if kind == "move" else "sum")


def logsumexp(b: Builder) -> None:
    x, axis = with_axis(b, b.types.reals, 1)
    name = b.choice(("jax.nn.logsumexp", "jax.nn.softmax", "jax.nn.log_softmax", "jnp.linalg.norm", "jax.nn.standardize"))
    b.step(f"{name}({x}, axis={axis})", "sum")


def arg_extreme(b: Builder) -> None:
    x, axis = with_axis(b, b.types.ordered, 1)
    index = b.choice(("int32", "uint8", "int16", "uint32"))
    b.step(f"lax.{b.choice(('argmax', 'argmin'))}({x}, {axis}, {index!r})", "move")


def cumulative(b: Builder) -> None:
    name, group, kind = b.choice((
        ("cumsum", "numbers", "sum"), ("cumprod", "numbers", "sum"), ("cummax", "ordered", "move"),
        ("cummin", "ordered", "move"), ("cumlogsumexp", "reals", "sum"),
    ))  # fmt: skip
    x, axis = with_axis(b, getattr(b.types, group))
    b.step(f"lax.{name}({x}, axis={axis}, reverse={b.chance(0.4)})", kind_for(b, kind, x))


def window(b: Builder) -> None:
    x = b.value(b.types.ordered, fits=lambda shape: 1 <= len(shape) <= 3)
    rank = len(b.of(x))
    name, start, kind = b.choice((
        ("add", "0", "sum"), ("max", "low", "move"), ("min", "high", "move"), ("mul", "1", "sum"),
    ))  # fmt: skip
    floating = b.dtype(x) in b.types.reals
    ends = {"low": "-inf" if floating else f"jnp.iinfo({x}.dtype).min", "high": "inf" if floating else f"jnp.iinfo({x}.dtype).max"}
    start = ends.get(start, start)
    # No other initial value than the reducer's identity: what becomes of another one is the implementation's to choose.
    dims = tuple(b.integer(1, 3) for _ in range(rank))
    strides = tuple(b.choice((1, 1, 2, 3)) for _ in range(rank))
    padding = tuple((b.integer(0, 2), b.integer(0, 2)) for _ in range(rank))
    base = tuple(b.choice((1, 1, 2)) for _ in range(rank))
    inner = tuple(b.choice((1, 1, 2)) for _ in range(rank))
    made = b.choice(("np", "jnp"))  # known when the program is traced, or part of it
    b.step(
        f"lax.reduce_window({x}, {made}.array({start}, {x}.dtype), lax.{name}, {dims}, {strides}, {padding}, {base}, {inner})",
        kind_for(b, kind, x),
    )


def custom_reduce(b: Builder) -> None:
    """A reducer that no library has, of one and of two operands."""
    x = b.value(b.types.integers, fits=lambda shape: 1 <= len(shape))
    axes = some_axes(b, len(b.of(x))) or (0,)
    if b.chance(0.5):
        b.step(f"lax.reduce({x}, jnp.array(0, {x}.dtype), lambda x, y: x + y + x * y, {axes})", "move")
    else:
        y = b.value((b.dtype(x),), shape=b.of(x))
        b.step(
            f"lax.reduce(({x}, {y}), (jnp.array(jnp.iinfo({x}.dtype).min, {x}.dtype), jnp.array(0, {x}.dtype)),"
            f" lambda x, y: (lax.max(x[0], y[0]), x[1] + y[1]), {axes})",
            "move", 2,
        )  # fmt: skip


def sort(b: Builder) -> None:
    x, axis = with_axis(b, b.types.all)
    choice = b.random.random()
    if choice < 0.3:
        # Zeros of both signs are equal: an order that is not stable may give them in any.
        stable = b.chance(0.5) or b.dtype(x).startswith(("float", "bfloat", "complex"))
        b.step(f"lax.sort({x}, dimension={axis}, is_stable={stable})", "move")
    elif choice < 0.6:
        y = b.value(b.types.all, shape=b.of(x))
        keys = b.integer(1, 2)
        b.step(f"lax.sort(({x}, {y}), dimension={axis}, num_keys={keys}, is_stable=True)", "move", 2)
    elif choice < 0.7:
        y, z = (b.value(b.types.all, shape=b.of(x)) for _ in range(2))
        b.step(f"lax.sort(({x}, {y}, {z}), dimension={axis}, num_keys={b.integer(1, 3)}, is_stable=True)", "move", 3)
    elif choice < 0.9:
        b.step(f"jnp.argsort({x}, axis={axis}, descending={b.chance(0.4)})", "move")
    else:
        b.step(f"jnp.sort({x}, axis={axis}, descending={b.chance(0.4)})", "move")


def top_k(b: Builder) -> None:
    x = b.value(b.types.ordered, fits=lambda shape: len(shape) > 0)
    b.step(f"lax.top_k({x}, {b.integer(0, min(4, b.of(x)[-1]))})", "move", 2)


def lexsort_and_partition(b: Builder) -> None:
    x = b.value(b.types.ordered, fits=lambda shape: len(shape) > 0 and shape[-1] > 0)
    b.step(f"jnp.sort(jnp.partition({x}, {b.integer(0, b.of(x)[-1] - 1)}))", "move")


def pool(b: Builder) -> None:
    x = b.value(b.types.reals, rank=4, least=1)
    name = b.choice(("max", "avg"))
    padding = b.choice(("SAME", "VALID"))
    b.step(
        f"jax.nn.{'standardize'}({x})" if b.chance(0.1) else
        f"lax.reduce_window({x}, {'-inf' if name == 'max' else '0.0'}, lax.{'max' if name == 'max' else 'add'},"
        f" (1, 2, 2, 1), (1, {b.integer(1, 2)}, 2, 1), {padding!r})",
        "sum",
    )  # fmt: skip


def pool_derivative(b: Builder) -> None:
    """The derivative of pooling, which JAX sends as select_and_scatter."""
    x = b.value(("float32", "float32", "bfloat16", "float16"), fits=lambda shape: 1 <= len(shape) <= 3 and 0 not in shape)
    rank = len(b.of(x))
    dims, strides = (tuple(b.integer(1, top) for _ in range(rank)) for top in (3, 2))
    padding = tuple((b.integer(0, 1), b.integer(0, 1)) for _ in range(rank))
    name, start = b.choice((("max", "-inf"), ("min", "inf"), ("max", "-inf")))
    b.step(
        f"jax.grad(lambda x: jnp.sum(lax.reduce_window(x, np.array({start}, x.dtype), lax.{name}, {dims}, {strides}, {padding})"
        f" * jnp.array(0.5, x.dtype)))({x})",
        "sum",
    )


GENERATORS = {
    pool_derivative: 1.5,
    reduce: 5, numpy_reduce: 4, logsumexp: 2, arg_extreme: 2, cumulative: 3, window: 3, custom_reduce: 1, sort: 4,
    top_k: 1, lexsort_and_partition: 0.5, pool: 0.5,
}  # fmt: skip
