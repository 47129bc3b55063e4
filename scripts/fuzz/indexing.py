"""Steps that read and write at computed places: dynamic slices, gather, scatter."""

from __future__ import annotations

from fuzz.builder import Builder
from fuzz.elementwise import kind_for
from fuzz.shapes import any_value


def index_value(b: Builder, shape: tuple[int, ...] | None = None, rank: int | None = None) -> str:
    """Whole numbers of any type, some of them out of range."""
    return b.value(b.types.integers, shape=shape, rank=rank, fresh=0.5)


def dynamic_slice(b: Builder) -> None:
    x = any_value(b)
    shape = b.of(x)
    sizes = [b.integer(0, size) for size in shape]
    integer = b.choice(b.types.integers)
    starts = [b.value((integer,), shape=(), fresh=0.6) for _ in shape]
    b.step(f"lax.dynamic_slice({x}, ({', '.join(starts)}{',' if starts else ''}), {sizes})", "move")


def dynamic_update_slice(b: Builder) -> None:
    x = any_value(b)
    shape = b.of(x)
    update = b.value((b.dtype(x),), shape=tuple(b.integer(0, size) for size in shape))
    integer = b.choice(b.types.integers)
    starts = [b.value((integer,), shape=(), fresh=0.6) for _ in shape]
    b.step(f"lax.dynamic_update_slice({x}, {update}, ({', '.join(starts)}{',' if starts else ''}))", "move")


def take(b: Builder) -> None:
    x = any_value(b, fits=lambda shape: 0 < len(shape) and 0 not in shape)
    axis = b.integer(0, len(b.of(x)) - 1)
    mode = b.choice(("fill", "clip", "wrap"))
    b.step(f"jnp.take({x}, {index_value(b)}, axis={axis}, mode={mode!r})", "move")


def take_along_axis(b: Builder) -> None:
    x = any_value(b, fits=lambda shape: 0 < len(shape))
    shape = list(b.of(x))
    axis = b.integer(0, len(shape) - 1)
    shape[axis] = b.integer(0, 4)
    mode = b.choice(("fill", "clip"))
    index = index_value(b, tuple(shape))
    b.step(f"jnp.take_along_axis({x}, {index}, axis={axis}, mode={mode!r})", "move")


def subscript(b: Builder, shape: tuple[int, ...]) -> str:
    """Arrays of indices, slices and single numbers, mixed."""
    parts = []
    length = b.choice((1, 2, 3))
    for size in shape:
        kind = b.random.random()
        if kind < 0.4:
            parts.append(index_value(b, b.choice(((), (length,), (length,), (2, 1), (1,), (3, length)))))
        elif kind < 0.7:
            parts.append(b.choice((":", "::-1", "1:", ":-1", "::2")))
        elif kind < 0.85 and size:
            parts.append(str(b.integer(-size, size - 1)))
        else:
            parts.append(":")
    return ", ".join(parts)


def index(b: Builder) -> None:
    x = any_value(b, fits=lambda shape: 0 < len(shape))
    mode = b.choice(("fill", "clip"))
    b.step(f"{x}.at[{subscript(b, b.of(x))}].get(mode={mode!r})", "move")


def update(b: Builder) -> None:
    x = b.value(b.types.all, fits=lambda shape: 0 < len(shape))
    method = b.choice(("set", "add", "subtract", "multiply", "min", "max", "divide", "power", "apply"))
    if method in ("add", "multiply", "subtract") and b.dtype(x) == "bool" or "complex" in b.dtype(x) and method in ("min", "max"):
        method = "set"
    mode = b.choice(("drop", "clip"))
    where = subscript(b, b.of(x))
    kind = "move" if method in ("min", "max") else kind_for(b, "sum", x)
    if method == "apply":
        b.step(f"{x}.at[{where}].apply(lambda x: x * x, mode={mode!r})", kind)
    elif method == "set":
        # Places that are written twice get one value, so that any order will do.
        b.step(f"{x}.at[{where}].set({b.value((b.dtype(x),), shape=())}, mode={mode!r})", "move")
    else:
        value = b.value((b.dtype(x),), shape=b.choice(((), (1,), (2,), (3,))))
        if method in ("divide", "power"):
            kind = kind_for(b, "sum", x)
        b.step(f"{x}.at[{where}].{method}({value}, mode={mode!r})", kind)


def unique_update(b: Builder) -> None:
    """Rows are written by a permutation, so that each has its own value."""
    x = b.value(b.types.all, fits=lambda shape: 0 < len(shape) and shape[0] > 0)
    rows = b.of(x)[0]
    order = list(range(rows))
    b.random.shuffle(order)
    y = b.value((b.dtype(x),), shape=b.of(x))
    unique = b.chance(0.5)
    method = b.choice(("set", "add", "multiply")) if b.dtype(x) != "bool" else "set"
    kind = kind_for(b, "round", x) if method != "set" else "move"
    b.step(f"{x}.at[jnp.array({order})].{method}({y}, unique_indices={unique})", kind)


def gather(b: Builder) -> None:
    """`lax.gather` with dimension numbers of all kinds."""
    x = any_value(b, fits=lambda shape: 0 < len(shape))
    shape = b.of(x)
    rank = len(shape)
    mapped = b.random.sample(range(rank), b.integer(1, rank))
    sizes = [b.integer(0, size) if b.chance(0.6) else min(1, size) for size in shape]
    collapsed = tuple(d for d in range(rank) if sizes[d] == 1 and b.chance(0.6))
    batch = b.choice(((), (2,), (3,), (2, 2), (1,), (0,)))
    indices = b.value(("int32",), shape=(*batch, len(mapped)), fresh=0.6)
    window = rank - len(collapsed)
    total = len(batch) + window
    offset = tuple(sorted(b.random.sample(range(total), window)))
    mode = b.choice(("clip", "fill"))
    b.step(
        f"lax.gather({x}, {indices}, lax.GatherDimensionNumbers(offset_dims={offset}, collapsed_slice_dims={collapsed},"
        f" start_index_map={tuple(mapped)}), slice_sizes={tuple(sizes)}, mode={mode!r})",
        "move",
    )


def scatter(b: Builder) -> None:
    """`lax.scatter_add` and its like with dimension numbers of all kinds."""
    name = b.choice(("add", "mul", "min", "max"))
    x = b.value(b.types.ordered if name in ("min", "max") else b.types.numbers, fits=lambda shape: 0 < len(shape))
    shape = b.of(x)
    rank = len(shape)
    mapped = b.random.sample(range(rank), b.integer(1, rank))
    inserted = tuple(d for d in range(rank) if b.chance(0.4))
    window = [b.integer(0, shape[d]) for d in range(rank) if d not in inserted]
    batch = b.choice(((), (2,), (3,), (2, 2), (1,), (0,)))
    total = len(batch) + len(window)
    places = sorted(b.random.sample(range(total), len(window)))
    sizes, rest, inside = [], list(batch), list(window)
    for place in range(total):
        sizes.append(inside.pop(0) if place in places else rest.pop(0))
    indices = b.value(("int32",), shape=(*batch, len(mapped)), fresh=0.6)
    updates = b.value((b.dtype(x),), shape=tuple(sizes))
    mode = b.choice(("clip", "drop"))
    b.step(
        f"lax.scatter_{name}({x}, {indices}, {updates}, lax.ScatterDimensionNumbers(update_window_dims={tuple(places)},"
        f" inserted_window_dims={inserted}, scatter_dims_to_operand_dims={tuple(mapped)}), mode={mode!r})",
        "move" if name in ("min", "max") else kind_for(b, "sum", x),
    )


def segments(b: Builder) -> None:
    x = b.value(b.types.ordered, fits=lambda shape: 0 < len(shape))
    ids = b.value(("int32",), shape=b.of(x)[:1])
    name = b.choice(("sum", "prod", "max", "min"))
    kind = "move" if name in ("max", "min") else kind_for(b, "sum", x)
    b.step(f"jax.ops.segment_{name}({x}, {ids}, {b.integer(1, 5)})", kind)


def one_hot(b: Builder) -> None:
    b.step(f"jax.nn.one_hot({index_value(b)}, {b.integer(1, 5)}, dtype={b.choice(b.types.reals)!r})", "move")


def searching(b: Builder) -> None:
    x = b.value(b.types.ordered, rank=1)
    y = b.value((b.dtype(x),), rank=1)
    side = b.choice(("left", "right"))
    b.step(
        b.choice((
            f"jnp.searchsorted(jnp.sort({x}), {y}, side={side!r})",
            f"jnp.digitize({y}, jnp.sort({x}))",
            f"jnp.isin({x}, {y})",
            f"jnp.nonzero({x}, size=4, fill_value=-1)[0]",
            f"jnp.unique({x}, size=5, fill_value=0)",
            f"jnp.bincount(jnp.clip({x}, 0, 5).astype('int32'), length=6)",
            f"jnp.union1d({x}, {y}, size=6)",
        )),
        "move",
    )  # fmt: skip


GENERATORS = {
    dynamic_slice: 3, dynamic_update_slice: 3, take: 2, take_along_axis: 2, index: 4, update: 4, unique_update: 2,
    gather: 3, scatter: 3, segments: 1, one_hot: 0.5, searching: 1,
}  # fmt: skip
