"""What Metal and macOS force on the plugin, as far as it shows on any machine: the
CPU plays Metal's part where ``JAX_MPS_CAPABILITIES=metal`` is set (docs/macos.md)."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

KEPT = ("JAX_MPS_LIBRARY_PATH", "JAX_MPS_DEVICE")


def _run(program, **environment):
    """Runs ``program`` in a fresh Python, with no settings of JAX or MLX but these."""
    inherited = {
        name: text
        for name, text in os.environ.items()
        if name in KEPT or not name.startswith(("JAX", "MLX_"))
    }
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**inherited, "JAX_PLATFORMS": "mps,cpu", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


# -- who plays Metal's part ----------------------------------------------------


def test_the_cpu_plays_metals_part_and_says_so():
    result = _run(
        "import jax; print(jax.devices()[0].device_kind)", JAX_MPS_CAPABILITIES="metal"
    )
    assert result.stdout == "MLX CPU (in place of Metal)\n", result.stderr


def test_an_unknown_part_is_refused():
    result = _run("import jax; jax.devices()", JAX_MPS_CAPABILITIES="metl")
    assert result.returncode == 1
    assert "JAX_MPS_CAPABILITIES: expected cpu, metal or cuda, not \"metl\"" in result.stderr


DOUBLES = """
import jax, jax.numpy as jnp, numpy as np
from jax import lax
jax.config.update("jax_enable_x64", True)
x = jnp.arange(6.0).reshape(2, 3)
assert x.dtype == np.float64
# A result that is a view, one that is an argument, one that is a constant.
view, same, constant = jax.jit(lambda x: (x.T, x, jnp.array([1.5, 2.5])))(x)
np.testing.assert_array_equal(view, np.arange(6.0).reshape(2, 3).T)
np.testing.assert_array_equal(same, x)
np.testing.assert_array_equal(constant, [1.5, 2.5])
# Doubles through control flow, beside floats that stay on the device.
def body(carry):
    i, wide, narrow = carry
    return i + 1, wide * 2, narrow * 2
i, wide, narrow = jax.jit(lambda c: lax.while_loop(lambda c: c[0] < 3, body, c))((0, x, jnp.ones(2, np.float32)))
np.testing.assert_array_equal(wide, 8 * np.arange(6.0).reshape(2, 3))
np.testing.assert_array_equal(narrow, [8, 8])
print(lax.cond(wide.sum() > 1, lambda: wide.sum(), lambda: 0.0))
"""


@pytest.mark.parametrize("place", ["auto", "device"])
def test_doubles_leave_and_return_as_they_came(place):
    result = _run(DOUBLES, JAX_MPS_CAPABILITIES="metal", JAX_MPS_PLACE=place)
    assert result.stdout == "120.0\n", result.stderr


# -- precision -----------------------------------------------------------------

# What C code sees, not Python's copy of the environment.
PRECISION = """
import ctypes, jax
jax.devices("mps")
getenv = ctypes.CDLL(None).getenv
getenv.restype = ctypes.c_char_p
print(getenv(b"MLX_ENABLE_TF32"))
"""


def test_float32_is_not_multiplied_with_fewer_bits():
    assert _run(PRECISION).stdout == "b'0'\n"


def test_the_user_may_ask_for_fewer_bits():
    assert _run(PRECISION, MLX_ENABLE_TF32="1").stdout == "b'1'\n"


# -- fork ----------------------------------------------------------------------

# Not compiling: in a forked child MLIR waits for its threads, which stayed behind, before it comes to the plugin.
FORK = """
import os, warnings, jax, numpy as np
warnings.simplefilter("ignore")  # JAX warns of the fork
double = jax.jit(lambda x: x * 2)
x = jax.device_put(np.arange(4, dtype=np.float32), jax.devices("mps")[0])
double(x).block_until_ready()
pending = double(x)
attempts = {
    "execute": lambda: double(x),
    "put": lambda: jax.device_put(np.ones(3, np.float32), jax.devices("mps")[0]),
    "wait": lambda: pending.block_until_ready(),
    "read": lambda: np.asarray(double(x)),
}
child = os.fork()
if child == 0:
    for name, attempt in attempts.items():
        try:
            attempt()
            print(name, "worked", flush=True)
        except Exception as error:
            print(name, "forked" if "was forked from one that uses the mps device" in str(error) else error, flush=True)
    os._exit(0)
_, status = os.waitpid(child, 0)
print("parent", status, double(x).tolist())
"""


@pytest.mark.parametrize("place", ["auto", "device"])
def test_a_forked_child_is_refused_and_its_parent_goes_on(place):
    result = _run(FORK, JAX_MPS_PLACE=place)
    lines = result.stdout.splitlines()
    # What was there before the fork may be known to be there.
    assert lines[2] in ("wait forked", "wait worked"), result.stdout + result.stderr
    del lines[2]
    assert lines == [
        "execute forked",
        "put forked",
        "read forked",
        "parent 0 [0.0, 2.0, 4.0, 6.0]",
    ], result.stdout + result.stderr


def test_a_child_forked_before_the_device_is_used_may_use_it():
    result = _run(
        "import os, warnings, jax\n"
        "warnings.simplefilter('ignore')\n"
        "child = os.fork()\n"
        # One after the other: their lines must not mix.
        "child and os.waitpid(child, 0)\n"
        "print((jax.numpy.arange(3.0) + 1).tolist(), jax.default_backend(), flush=True)\n"
    )
    assert result.stdout == "[1.0, 2.0, 3.0] mps\n" * 2, result.stderr


# -- traces --------------------------------------------------------------------

TRACE = """
import jax, numpy as np
double = jax.jit(lambda x: x * 2)
for _ in range(2):
    print(double(np.arange(3, dtype=np.float32)).tolist())
"""


def test_traces_are_made_of_each_programs_first_run(tmp_path):
    folder = tmp_path / "traces"
    result = _run(
        TRACE,
        JAX_MPS_CAPABILITIES="metal",
        JAX_MPS_CAPTURE=str(folder),
        JAX_MPS_PLACE="device",
        JAX_MPS_LOG="info",
    )
    assert result.stdout == "[0.0, 2.0, 4.0]\n" * 2, result.stderr
    # MLX without Metal takes the call and writes nothing.
    assert result.stderr.count(f"records {folder}") == 1
    assert "lambda" in result.stderr and ".gputrace" in result.stderr
    assert folder.is_dir()


def test_traces_need_metal(tmp_path):
    result = _run(TRACE, JAX_MPS_CAPTURE=str(tmp_path), JAX_MPS_CAPABILITIES="cpu")
    assert result.returncode == 1
    assert "JAX_MPS_CAPTURE: only Metal records traces" in result.stderr


def test_a_trace_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    result = _run(
        TRACE,
        JAX_MPS_CAPABILITIES="metal",
        JAX_MPS_CAPTURE=str(tmp_path / "file" / "below"),
        JAX_MPS_PLACE="device",
    )
    assert result.returncode == 1
    assert "JAX_MPS_CAPTURE: no trace" in result.stderr


# -- mlx.core in the same process ----------------------------------------------

BESIDE = """
import threading
import jax, jax.numpy as jnp, numpy as np
{first}
import mlx.core as mx

double = jax.jit(lambda x: jnp.linalg.cholesky(x @ x.T + jnp.eye(32)) * 2)
x = np.random.default_rng(0).normal(size=(32, 32)).astype(np.float32)
expected = 2 * np.linalg.cholesky(x @ x.T + np.eye(32, dtype=np.float32))
streams, wrong = [], []

def work(seed):
    for turn in range(100):
        if not np.allclose(double(x), expected, rtol=1e-4, atol=1e-4):
            wrong.append((seed, turn, "jax"))
        a = mx.array(x) + seed
        b = (a @ a).sum()
        mx.eval(b)
        if not np.allclose(b.item(), ((x + seed) @ (x + seed)).sum(), rtol=1e-3):
            wrong.append((seed, turn, "mlx"))
        streams.append((seed, str(mx.default_stream(mx.default_device()))))

before = mx.default_stream(mx.default_device())
mx.eval(mx.ones(3) + 1)
double(x).block_until_ready()
assert mx.default_stream(mx.default_device()) == before
threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert mx.default_stream(mx.default_device()) == before
mx.clear_streams()
np.testing.assert_allclose(double(x), expected, rtol=1e-4, atol=1e-4)
streams = set(streams)
# One for each thread, and none that is shared.
print(wrong, len(streams), len({{stream for _, stream in streams}} | {{str(before)}}))
"""


@pytest.mark.parametrize("first", ["", "jax.block_until_ready(jnp.linalg.cholesky(jnp.eye(3)))"])
@pytest.mark.parametrize("part", ["", "metal"])
def test_mlx_keeps_its_own_streams_beside_us(first, part):
    result = _run(BESIDE.format(first=first), JAX_MPS_CAPABILITIES=part, JAX_MPS_PLACE="device")
    assert result.stdout == "[] 3 4\n", result.stdout + result.stderr


# -- memory --------------------------------------------------------------------

# A loader that reads into the same pages again and again.
BORROWED = """
import gc, mmap, time, weakref
import jax, jax.numpy as jnp, numpy as np
d = jax.devices()[0]

def pages(count):
    "So many numbers, on pages as a GPU maps them."
    raw = np.frombuffer(mmap.mmap(-1, 4 * count + (16 << 10)), np.uint8)
    begin = -raw.ctypes.data % (16 << 10)
    numbers = raw[begin : begin + 4 * count].view(np.float32)
    numbers[:] = 3
    return numbers

for count in (1 << 18, 1 << 12):
    loaded = pages(count)
    x = jax.device_put(loaded, d)
    x.block_until_ready()
    loaded[0] = 7
    print(count, float(np.asarray(x)[0]))
    loaded[0] = 3

# What is computed never lands in it, the argument being used up or not.
loaded = pages(1 << 18)
x, y = jax.device_put(loaded, d), jax.device_put(loaded, d)
doubled = jax.jit(lambda x: x * 2, donate_argnums=0)
for _ in range(2):
    np.testing.assert_array_equal(doubled(jax.device_put(loaded, d)), np.full(1 << 18, 6.0))
z = jax.jit(lambda x, y: jax.lax.fori_loop(0, 3, lambda i, x: x + y, x))(x, y)
np.testing.assert_array_equal(z, np.full(1 << 18, 12.0))
np.testing.assert_array_equal(x.at[:8].set(0.0)[:9], [0] * 8 + [3])
assert (loaded == 3).all()

# And it is given back.
seen = weakref.ref(loaded)
del x, y, z, loaded
for _ in range(400):
    gc.collect()
    if seen() is None:
        break
    time.sleep(0.01)
print(seen() is None)
"""


@pytest.mark.parametrize("place", ["auto", "device"])
def test_arrays_of_the_host_are_copied(place):
    result = _run(BORROWED, JAX_MPS_CAPABILITIES="metal", JAX_MPS_PLACE=place)
    assert result.stdout == "262144 3.0\n4096 3.0\nTrue\n", result.stderr


@pytest.mark.parametrize("place", ["auto", "device"])
def test_lent_memory_is_read_only_and_given_back(place):
    """In place from 1 MiB on, where the user allows it."""
    result = _run(BORROWED, JAX_MPS_CAPABILITIES="metal", JAX_MPS_PLACE=place, JAX_MPS_ZERO_COPY="on")
    assert result.stdout == "262144 7.0\n4096 3.0\nTrue\n", result.stderr


def test_zero_copy_is_on_or_off():
    result = _run("import jax; jax.devices()", JAX_MPS_CAPABILITIES="metal", JAX_MPS_ZERO_COPY="maybe")
    assert result.returncode == 1
    assert 'JAX_MPS_ZERO_COPY: expected on or off, not "maybe"' in result.stderr


def test_host_memory_need_not_be_aligned(device):
    """Device memory begins on a page; host memory does where it likes, and is copied."""
    whole = np.arange(100, dtype=np.float32)
    odd = np.frombuffer(bytes(17), np.uint8)[1:].view(np.float32)
    for part in (whole[1:], whole[3:50], odd):
        np.testing.assert_array_equal(jax.device_put(part, device), part)


def test_programs_beyond_the_devices_memory_are_refused(device):
    limit = device.memory_stats()["bytes_limit"]
    assert limit > 0
    with jax.default_device(device), pytest.raises(Exception, match="RESOURCE_EXHAUSTED"):
        jax.jit(lambda: jnp.ones((limit // 2**20 * 2, 2**20), np.float32).sum(0))().block_until_ready()


def test_more_arrays_than_a_metal_kernel_takes(device):
    """31 buffers at most: MLX's own kernels keep to it, and none is made here that takes arrays without limit."""
    arrays = [jax.device_put(np.full(3, i, np.float32), device) for i in range(40)]
    np.testing.assert_array_equal(jax.jit(lambda *x: sum(x))(*arrays), np.full(3, 780.0))
    joined = jax.jit(lambda *x: jnp.concatenate(x))(*arrays)
    np.testing.assert_array_equal(joined, np.repeat(np.arange(40.0), 3))
    ordered = jax.jit(lambda *x: jax.lax.sort(x, num_keys=2))(*arrays)
    np.testing.assert_array_equal(ordered[39], np.full(3, 39.0))
