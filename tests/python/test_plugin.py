"""The Python side: registration, what happens where something is missing, and
the lowering rules."""

import functools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax._src import xla_bridge

from jax_plugins import mps
from jax_plugins.mps import library, registration

HIDE_MLX = """
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "mlx" else find(name, *rest)
"""

ASK_BY_NAME = """
import jax
print(jax.devices()[0].platform, jax.numpy.arange(3).sum())
try:
    jax.devices("mps")
except RuntimeError as error:
    print(error)
"""


def _run(program, **environment):
    """Runs ``program`` in a fresh Python, with no settings but these."""
    inherited = {
        name: text
        for name, text in os.environ.items()
        if name in ("JAX_MPS_LIBRARY_PATH", "JAX_MPS_DEVICE")
        or not name.startswith("JAX")
    }
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def broken_library(tmp_path):
    """The path of a library that no loader accepts."""
    path = tmp_path / "libjax_mps.so"
    path.write_text("not a library")
    return str(path)


# -- registration --------------------------------------------------------------


def test_plugin_is_the_default_device_and_quiet():
    result = _run("import jax; print(jax.default_backend(), jax.devices('mps'))")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("mps ")
    # No "experimental" warning, no other.
    assert result.stderr == ""


def test_registration_is_quiet_and_not_experimental(device):
    registered = xla_bridge._backend_factories["mps"]
    assert registered.fail_quietly
    assert not registered.experimental
    assert registered.priority == 500


def test_a_second_initialization_changes_nothing(device):
    before = xla_bridge._backend_factories["mps"]
    mps.initialize()
    assert xla_bridge._backend_factories["mps"] is before
    assert jax.devices("mps")[0] == device


def test_clients_can_be_made_anew():
    result = _run(
        "import jax, jax.extend.backend as backend\n"
        "first = float(jax.jit(lambda x: x + 1)(1.0))\n"
        "backend.clear_backends()\n"
        "print(first, float(jax.jit(lambda x: x + 2)(1.0)), jax.default_backend())"
    )
    assert result.stdout == "2.0 3.0 mps\n", result.stderr


def test_cpu_programs_do_not_load_the_library():
    result = _run(
        "import jax; jax.numpy.ones(3) + 1\n"
        "from jax_plugins.mps import registration; print(registration._c_api)",
        JAX_PLATFORMS="cpu",
    )
    assert result.stdout == "None\n", result.stderr


def test_diagnosis_names_what_a_report_needs():
    command = [sys.executable, "-m", "jax_plugins.mps"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    for label in ("jax ", "jaxlib ", "python ", "MLX folder ", "library ", "device "):
        assert f"\n{label}" in result.stdout


# -- missing parts -------------------------------------------------------------


def test_without_library_the_cpu_works_and_mps_says_why(tmp_path):
    missing = str(tmp_path / "none.so")
    result = _run(ASK_BY_NAME, JAX_MPS_LIBRARY_PATH=missing)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("cpu 3\n")
    assert f"JAX_MPS_LIBRARY_PATH names no file: {missing}" in result.stdout
    # Whoever sets it wants the platform.
    assert f"UserWarning: JAX runs without the platform mps, because of JAX_MPS_LIBRARY_PATH={missing}" in result.stderr


def test_without_mlx_the_cpu_works_and_mps_says_what_to_install(broken_library):
    result = _run(HIDE_MLX + ASK_BY_NAME, JAX_MPS_LIBRARY_PATH=broken_library)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("cpu 3\n")
    assert "MLX is not installed" in result.stdout
    assert "pip install mlx-" in result.stdout
    assert library.MLX_VERSION in result.stdout
    assert result.stderr == ""


def test_without_mlx_the_platform_asked_for_in_the_environment_fails(broken_library):
    result = _run(
        HIDE_MLX + "import jax; jax.devices()",
        JAX_MPS_LIBRARY_PATH=broken_library,
        JAX_PLATFORMS="mps",
    )
    assert result.returncode == 1
    assert "Unable to initialize backend 'mps': MLX is not installed" in result.stderr


def test_a_library_that_does_not_load_is_reported_with_the_loaders_words(broken_library):
    result = _run(ASK_BY_NAME, JAX_MPS_LIBRARY_PATH=broken_library)
    assert result.stdout.startswith("cpu 3\n"), result.stderr
    assert "libjax_mps.so" in result.stdout.splitlines()[1]
    assert f"because of JAX_MPS_LIBRARY_PATH={broken_library}" in result.stderr


def test_another_mlx_release_is_refused(tmp_path, monkeypatch):
    header = tmp_path / "include" / "mlx" / "version.h"
    header.parent.mkdir(parents=True)
    header.write_text(
        "#define MLX_VERSION_MAJOR 0\n#define MLX_VERSION_MINOR 31\n"
        "#define MLX_VERSION_PATCH 7\n"
    )
    assert library.mlx_version(tmp_path) == "0.31.7"
    monkeypatch.setattr(library, "mlx_folder", lambda: tmp_path)
    with pytest.raises(library.Unavailable, match=r"MLX 0\.31\.7 .* built for MLX 0\.32"):
        library.check_mlx()


def test_another_mlx_release_is_refused_before_anything_is_loaded(tmp_path):
    folder = tmp_path / "mlx"
    (folder / "lib").mkdir(parents=True)
    for suffix in ("so", "dylib"):
        (folder / "lib" / f"libmlx.{suffix}").touch()
    header = folder / "include" / "mlx" / "version.h"
    header.parent.mkdir(parents=True)
    header.write_text("".join(f"#define MLX_VERSION_{part} 99\n" for part in ("MAJOR", "MINOR", "PATCH")))
    program = ASK_BY_NAME + (
        "from jax_plugins.mps import library, native, registration\n"
        "try: native.module()\n"
        "except library.Unavailable as error: print(error)\n"
        "print(registration._c_api)"
    )
    paths = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    result = _run(program, PYTHONPATH=paths)
    assert result.stdout.startswith("cpu 3\n"), result.stderr
    assert result.stdout.count(f"MLX 99.99.99 is installed in {folder}, but this jax-mps is built for MLX") == 2
    assert result.stdout.endswith("None\n")


# -- settings ------------------------------------------------------------------

BAD_SETTINGS = {
    "JAX_MPS_CACHE_LIMIT": "banana",
    "JAX_MPS_DEVICE": "banana",
    "JAX_MPS_PASSES": "banana",
    "JAX_MPS_PLACE": "banana",
    "JAX_MPS_READER": "banana",
    "JAX_MPS_PROFILE": "banana",
    "JAX_MPS_CAPABILITIES": "banana",
    # No folder can be made in a file.
    "JAX_MPS_DUMP": os.path.join(os.path.abspath(__file__), "folder"),
    "JAX_MPS_TRACE": os.path.join(os.path.abspath(__file__), "trace.json"),
}

TRY_SETTINGS = """
import json, os, sys, warnings
import jax
from jax_plugins.mps import registration
for name, value in json.loads(sys.argv[1]).items():
    os.environ[name] = value
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            registration._make_client()
            print("made")
        except Exception as error:
            print(name in str(error), [f"{name}={value}" in str(w.message) for w in caught])
    del os.environ[name]
"""


def test_every_bad_setting_is_an_error_and_a_warning():
    import json

    environment = {name: text for name, text in os.environ.items() if name == "JAX_MPS_LIBRARY_PATH" or name[:3] != "JAX"}
    for platforms, told in (({}, "[True]"), ({"JAX_PLATFORMS": "mps,cpu"}, "[]")):
        result = subprocess.run(
            [sys.executable, "-c", TRY_SETTINGS, json.dumps(BAD_SETTINGS)],
            env={**environment, **platforms},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert result.stdout.splitlines() == len(BAD_SETTINGS) * [f"True {told}"], result.stdout + result.stderr


def test_a_bad_setting_warns_where_jax_goes_on_without_the_platform():
    result = _run("import jax; print(jax.default_backend())", JAX_MPS_CACHE_LIMIT="banana")
    assert result.stdout == "cpu\n"
    assert "UserWarning" in result.stderr and "because of JAX_MPS_CACHE_LIMIT=banana" in result.stderr
    result = _run("import jax; print(jax.default_backend())", JAX_MPS_CACHE_LIMIT="banana", JAX_PLATFORMS="mps")
    assert result.returncode == 1
    assert "Unable to initialize backend 'mps'" in result.stderr and 'not "banana"' in result.stderr
    assert "UserWarning" not in result.stderr


@pytest.mark.parametrize("set_by_user", [None, "1"])
def test_tf32_is_turned_off_with_the_client_and_not_before(set_by_user):
    program = (
        "import os, jax\n"
        "print(os.environ.get('MLX_ENABLE_TF32'))\n"
        "jax.numpy.ones(3, device=jax.devices('cpu')[0])\n"
        "print(os.environ.get('MLX_ENABLE_TF32'))"
    )
    given = {"MLX_ENABLE_TF32": set_by_user} if set_by_user else {}
    before = os.environ.pop("MLX_ENABLE_TF32", None)
    try:
        assert _run(program, JAX_PLATFORMS="cpu", **given).stdout == f"{set_by_user}\n{set_by_user}\n"
        assert _run(program, JAX_PLATFORMS="mps,cpu", **given).stdout == f"{set_by_user}\n{set_by_user or 0}\n"
    finally:
        if before is not None:
            os.environ["MLX_ENABLE_TF32"] = before


def test_the_installed_mlx_is_the_right_one():
    library.check_mlx()
    assert library.mlx_version(library.mlx_folder()) == library.MLX_VERSION


# -- donation ------------------------------------------------------------------


def test_donated_arguments_are_marked_and_die(device):
    step = jax.jit(lambda x: x + 1, donate_argnums=0)
    x = jax.device_put(jnp.arange(4.0), device)
    assert "tf.aliasing_output" in step.lower(x).as_text()
    np.testing.assert_array_equal(step(x), [1, 2, 3, 4])
    assert x.is_deleted()


# -- lowering rules ------------------------------------------------------------

@pytest.mark.parametrize("shape", [(4, 4), (6, 3), (3, 6), (2, 5, 3), (1, 1), (0, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
def test_qr_is_that_of_the_cpu(shape, dtype, device, reference):
    rng = np.random.default_rng(0)
    a = rng.normal(size=shape)
    a = (a + 1j * rng.normal(size=shape)).astype(dtype) if dtype == np.complex64 else a.astype(dtype)
    for mode in ("reduced", "complete", "r"):
        ours, theirs = (
            jax.tree.leaves(jnp.linalg.qr(jax.device_put(a, where), mode=mode)) for where in (device, reference)
        )
        assert len(ours) == len(theirs)
        for x, y in zip(ours, theirs):
            assert x.dtype == y.dtype
            np.testing.assert_allclose(x, y, atol=2e-5)


def test_qr_of_rank_deficient_and_extreme_matrices(device):
    for scale in (1.0, 1e-25, 1e25):
        a = jax.device_put(np.outer([1, 2, 3, 4], [1, 0, -1]).astype(np.float32) * np.float32(scale), device)
        q, r = jnp.linalg.qr(a)
        np.testing.assert_allclose(q.T @ q, np.eye(3), atol=1e-5)
        np.testing.assert_allclose(q @ r / scale, np.asarray(a) / scale, atol=1e-5)


@pytest.mark.parametrize("function", [jax.lax.approx_max_k, jax.lax.approx_min_k])
def test_approximate_top_k_is_exact(function, device):
    x = np.random.default_rng(0).permutation(60).reshape(3, 20).astype(np.float32)
    values, indices = function(jax.device_put(x, device), 4, reduction_dimension=1)
    ordered = np.sort(x, axis=1)
    wanted = ordered[:, :-5:-1] if function is jax.lax.approx_max_k else ordered[:, :4]
    np.testing.assert_array_equal(values, wanted)
    np.testing.assert_array_equal(np.take_along_axis(x, np.asarray(indices), 1), wanted)


@pytest.mark.parametrize("preferred", ["float32", "bfloat16"])
@pytest.mark.parametrize("scale", ["float8_e8m0fnu", "float8_e4m3fn"])
def test_a_block_scaled_product_is_rounded_once(preferred, scale, device):
    def draw(seed, sizes, dtype, low, high):
        return jnp.asarray(np.random.default_rng(seed).uniform(low, high, sizes).astype(np.float32), dtype)

    values = [draw(seed, (2, rows, 64), "float8_e4m3fn", -8, 8) for seed, rows in enumerate((3, 5))]
    scales = [draw(seed, (2, rows, 2), scale, 0.25, 4) for seed, rows in enumerate((3, 5))]
    left, right = (
        np.asarray(value, np.float64) * np.repeat(np.asarray(factor, np.float64), 32, axis=2)
        for value, factor in zip(values, scales)
    )
    multiply = jax.jit(functools.partial(jax.nn.scaled_matmul, preferred_element_type=jnp.dtype(preferred)))
    product = multiply(*(jax.device_put(x, device) for x in (*values, *scales)))
    assert product.dtype == preferred
    wanted = np.einsum("bmk,bnk->bmn", left, right)
    np.testing.assert_allclose(
        np.asarray(product, np.float64), wanted, rtol=jnp.finfo(preferred).eps, atol=1e-3
    )


def test_the_platform_name_is_the_registered_one(device):
    assert device.platform == registration.PLATFORM == "mps"


def test_exported_random_numbers_need_no_call_of_the_plugin(device, reference):
    def draw(seed):
        return jax.random.normal(jax.random.key(seed), (5,))

    exported = jax.export.export(jax.jit(draw), platforms=["cpu", registration.PLATFORM])(jnp.int32(0))
    assert "mps." not in str(exported.mlir_module())
    restored = jax.export.deserialize(exported.serialize())
    ours, theirs = (restored.call(jax.device_put(jnp.int32(7), where)) for where in (device, reference))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.skipif(jax.__version_info__ >= (0, 12), reason="JAX itself refuses half precision from 0.12 on")
def test_half_precision_matrices_are_decomposed(device):
    a = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
    symmetric = a + a.T
    for dtype in (jnp.bfloat16, jnp.float16):
        with jax.default_device(device):
            v, w = jax.lax.linalg.eigh(jnp.asarray(symmetric, dtype))
            assert w.dtype == v.dtype == dtype
            u, s, vt = jax.lax.linalg.svd(jnp.asarray(a, dtype), full_matrices=False)
            assert u.dtype == s.dtype == vt.dtype == dtype
            if dtype == jnp.float16:
                with pytest.raises(NotImplementedError, match="Unsupported dtype"):
                    jax.lax.linalg.qr(jnp.asarray(a, dtype))
            else:
                q, r = (np.asarray(x, np.float32) for x in jax.lax.linalg.qr(jnp.asarray(a, dtype), full_matrices=False))
                np.testing.assert_allclose(q @ r, a, atol=0.1)
        np.testing.assert_allclose(np.asarray(w, np.float32), np.linalg.eigvalsh(symmetric), atol=0.1)
        u, s, vt = (np.asarray(x, np.float32) for x in (u, s, vt))
        np.testing.assert_allclose(u * s @ vt, a, atol=0.1)


PERSISTENT = """
import sys, jax, jax.numpy as jnp, numpy as np
from jax._src import monitoring
events = []
monitoring.register_event_listener(lambda name, **rest: events.append(name))
def loss(w, x): return jnp.mean((jnp.tanh(x @ w) - 1) ** 2)
@jax.jit
def step(w, x): return w - 0.1 * jax.grad(loss)(w, x)
w = step(jax.random.normal(jax.random.key(0), (4, 3)), jnp.ones((5, 4)))
hits, misses = (events.count("/jax/compilation_cache/cache_" + kind) for kind in ("hits", "misses"))
print(hits, misses, float(w.sum()))
"""


def test_second_process_compiles_nothing(tmp_path):
    settings = {
        "JAX_PLATFORMS": registration.PLATFORM,
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
        "JAX_RAISE_PERSISTENT_CACHE_ERRORS": "1",
    }
    first, second = (_run(PERSISTENT, **settings) for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    hits, misses, value = first.stdout.split()
    assert int(hits) == 0 and int(misses) > 0
    assert second.stdout.split() == [misses, "0", value]


def test_device_is_logged_under_the_level_of_jax():
    ran = _run("import jax; jax.devices()", JAX_PLATFORMS=registration.PLATFORM, JAX_LOGGING_LEVEL="INFO")
    assert f"Platform '{registration.PLATFORM}': " in ran.stderr


# -- layouts -------------------------------------------------------------------


def test_layouts_are_honoured_or_refused(device):
    """jaxlib 0.9 does not ask plugins for the layouts of arguments: there JAX refuses the program."""
    from jax.experimental.layout import Format, Layout

    sharding = jax.sharding.SingleDeviceSharding(device)
    values = np.arange(6.0, dtype=np.float32).reshape(2, 3)
    array = jax.device_put(values, Format(Layout(major_to_minor=(1, 0)), sharding))
    assert array.format.layout.major_to_minor == (1, 0)
    np.testing.assert_array_equal(np.asarray(array), values)
    if jax.__version_info__ < (0, 10):
        with pytest.raises(AssertionError, match="layout override"):
            jax.jit(lambda x: x + 1)(array)
    else:
        np.testing.assert_array_equal(jax.jit(lambda x: x + 1)(array), values + 1)


TRACED = """
import jax, jax.numpy as jnp
def more(x): return jnp.sum(x) < 100
f = jax.jit(lambda x: jax.lax.while_loop(more, lambda x: x * 2, x))
f(jnp.ones(3)).block_until_ready()
"""


def test_timeline_has_compilation_call_copy_and_device(tmp_path):
    import json

    path = tmp_path / "timeline.json"
    ran = _run(TRACED, JAX_PLATFORMS=registration.PLATFORM, JAX_MPS_TRACE=str(path))
    assert ran.returncode == 0, ran.stderr
    events = json.loads(path.read_text())
    spans = [event for event in events if event["ph"] == "X"]
    assert all(event["dur"] >= 0 and event["ts"] >= 0 for event in spans)
    kinds = {(event["cat"], event["name"]) for event in spans}
    assert {("compile", "jit__lambda"), ("call", "jit__lambda"), ("program", "jit__lambda"), ("device", "jit__lambda")} <= kinds
    tracks = {event["tid"]: event["args"]["name"] for event in events if event["ph"] == "M"}
    assert tracks[0] == "device" and {event["tid"] for event in spans} <= set(tracks)


def test_timeline_of_a_process_that_crashed_lacks_only_its_end(tmp_path):
    """The format lets the closing bracket be missing. A forked child that ends well does not write it for its parent."""
    import json

    path = tmp_path / "timeline.json"
    crash = TRACED + """
import ctypes, os
if os.fork() == 0:
    # Not Python's exit: jaxlib's threads, which a child has not, are waited for there.
    ctypes.CDLL(None).exit(0)
os.wait()
f(jnp.ones(3)).block_until_ready()
os._exit(3)
"""
    ran = _run(crash, JAX_PLATFORMS=registration.PLATFORM, JAX_MPS_TRACE=str(path))
    assert ran.returncode == 3, ran.stderr
    text = path.read_text()
    assert not text.rstrip().endswith("]")
    calls = [event for event in json.loads(text + "]") if event.get("cat") == "call" and event["name"] == "jit__lambda"]
    assert len(calls) == 2


def test_timeline_that_cannot_be_written_is_an_error(tmp_path):
    ran = _run("import jax; jax.devices()", JAX_PLATFORMS=registration.PLATFORM, JAX_MPS_TRACE=str(tmp_path / "no" / "file"))
    assert ran.returncode != 0 and "JAX_MPS_TRACE" in ran.stderr


BY_ALIAS = """
import jax
(device,) = jax.devices("mps")
assert jax.devices("gpu") == jax.local_devices(backend="gpu") == [device]
x = jax.device_put(jax.numpy.arange(3.0), jax.devices("gpu")[0])
assert jax.numpy.sin(x).devices() == {device}
assert device.platform == jax.default_backend() == "mps"
"""


def test_gpu_means_this_platform_when_asked_to():
    ran = _run(BY_ALIAS, JAX_MPS_ALIAS="gpu")
    assert ran.returncode == 0, ran.stderr


def test_gpu_means_the_platforms_of_jax_by_default(device):
    with pytest.raises(RuntimeError, match="gpu"):
        jax.devices("gpu")


def test_no_other_name_can_be_asked_for():
    assert "JAX_MPS_ALIAS=tpu: expected gpu" in _run("import jax; jax.devices()", JAX_MPS_ALIAS="tpu").stderr


def test_pinned_values_are_as_they_were(device):
    # XLA:CPU has no such calls to compare with.
    from jax._src.state import primitives

    @jax.jit
    def pinned(x):
        def step(_, carry):
            return primitives.unpin(primitives.pin(carry * 2))

        return jax.lax.fori_loop(0, 3, step, x)

    with jax.default_device(device):
        np.testing.assert_array_equal(pinned(jnp.arange(3.0)), [0.0, 8.0, 16.0])
