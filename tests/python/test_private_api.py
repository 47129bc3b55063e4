"""Pins every part of JAX without a public interface that the plugin touches.

A release of JAX that moves one of them fails here, by name, and not at a
user's first program.
"""

import inspect
import json
import os
import subprocess
import sys
from pkgutil import resolve_name

import pytest
from jax import lax


CALLED = {
    "jax._src.xla_bridge.register_backend_factory": {
        "name", "factory", "priority", "fail_quietly", "experimental", "make_topology",
    },
    "jax._src.xla_bridge.make_pjrt_c_api_client": {"plugin_name"},
    "jax._src.lib.xla_client.load_pjrt_plugin_dynamically": {"plugin_name", "library_path"},
    "jax._src.lib.xla_client.make_c_api_device_topology": {"c_api"},
    "jax._src.interpreters.mlir.broadcast_in_dim": {"ctx", "op", "aval_out", "broadcast_dimensions"},
    "jax.interpreters.mlir.register_lowering": {"prim", "rule", "platform"},
    "jax.interpreters.mlir.lower_fun": {"fun", "multiple_results"},
    "jax._src.dlpack.to_dlpack": {"x", "stream", "src_device", "dl_device", "max_version", "copy"},
    "jax._src.dlpack.from_dlpack": {"external_array", "device", "copy"},
    "jax._src.array.ArrayImpl.__dlpack_device__": {"self"},
    "jax._src.callback.emit_python_callback": {"ctx", "callback", "partitioned"},
    "jax._src.debugging.debug_callback_lowering": {"ctx"},
    "jax._src.debugging.debug_print_lowering_rule": {"ctx"},
    "jax._src.checkify.check_lowering_rule": {"ctx"},
}  # fmt: skip


@pytest.mark.parametrize("path", CALLED)
def test_function_takes_the_parameters_we_pass(path):
    parameters = inspect.signature(resolve_name(path)).parameters
    assert CALLED[path] <= set(parameters)


def test_profiler_registration_exists():
    # A compiled function: it has no signature to look at.
    assert callable(resolve_name("jax._src.lib._profiler.register_plugin_profiler"))


def test_devices_have_a_method_for_memory_that_can_be_replaced(monkeypatch):
    # A compiled function: it has no signature to look at.
    device = resolve_name("jax.Device")
    assert callable(device.memory_stats)
    monkeypatch.setattr(device, "memory_stats", lambda self: {})


def test_platforms_with_donation_is_a_list_of_names():
    platforms = resolve_name("jax._src.interpreters.mlir._platforms_with_donation")
    assert isinstance(platforms, list)
    assert "cpu" in platforms


def test_platforms_behind_an_alias_are_a_list_of_names():
    platforms = resolve_name("jax._src.xla_bridge._alias_to_platforms")["gpu"]
    assert isinstance(platforms, list)
    assert platforms[0] == "cuda"


def test_the_registration_of_a_backend_has_the_fields_we_set():
    registration = resolve_name("jax._src.xla_bridge.BackendRegistration")
    fields = set(registration.__dataclass_fields__)
    assert {"factory", "priority", "fail_quietly", "experimental"} <= fields


def test_lowering_knows_whether_it_is_for_export():
    parameters = resolve_name("jax._src.interpreters.mlir.LoweringParameters")
    assert "for_export" in parameters.__dataclass_fields__


def test_contexts_of_lowering_can_be_replaced():
    context = resolve_name("jax._src.interpreters.mlir.ModuleContext")
    assert {"platforms", "backend", "channel_iterator", "host_callbacks"} <= set(context.__dataclass_fields__)


def test_question_for_the_persistent_cache_takes_a_client():
    question = resolve_name("jax._src.compilation_cache.is_cache_used")
    assert set(inspect.signature(question).parameters) == {"backend"}


def test_common_rule_of_threefry_exists():
    from jax_plugins.mps import random_bits

    assert callable(random_bits._common._threefry2x32_lowering_rule)


def test_the_common_rule_of_nextafter_is_found():
    rules = resolve_name("jax._src.interpreters.mlir._lowerings")
    assert callable(rules[lax.nextafter_p].rule)


PRIMITIVES = {
    "jax._src.lax.ann.approx_top_k_p": "approx_top_k",
    "jax._src.lax.linalg.eig_p": "eig",
    "jax._src.lax.linalg.eigh_p": "eigh",
    "jax._src.lax.linalg.geqp3_p": "geqp3",
    "jax._src.lax.linalg.geqrf_p": "geqrf",
    "jax._src.lax.linalg.hessenberg_p": "hessenberg",
    "jax._src.lax.linalg.householder_product_p": "householder_product",
    "jax._src.lax.linalg.lu_p": "lu",
    "jax._src.lax.linalg.lu_pivots_to_permutation_p": "lu_pivots_to_permutation",
    "jax._src.lax.linalg.schur_p": "schur",
    "jax._src.lax.linalg.svd_p": "svd",
    "jax._src.lax.linalg.tridiagonal_p": "tridiagonal",
    "jax._src.lax.linalg.tridiagonal_solve_p": "tridiagonal_solve",
    "jax._src.lax.parallel.pbroadcast_p": "pbroadcast",
    "jax._src.lax.windowed_reductions.select_and_scatter_add_p": "select_and_scatter_add",
    "jax._src.cudnn.scaled_matmul_stablehlo._scaled_matmul_p": "scaled_matmul",
    "jax._src.checkify.check_p": "check",
    "jax._src.debugging.debug_callback_p": "debug_callback",
    "jax._src.debugging.debug_print_p": "debug_print",
}


@pytest.mark.parametrize("path", PRIMITIVES)
def test_primitive_has_its_name(path):
    assert resolve_name(path).name == PRIMITIVES[path]


def test_every_primitive_of_the_shim_is_pinned():
    from jax_plugins.mps import primitives

    callbacks = {primitives.CHECK, primitives.DEBUG_CALLBACK, primitives.DEBUG_PRINT}
    others = {
        primitives.APPROX_TOP_K, primitives.PBROADCAST, primitives.SCALED_MATMUL, primitives.SELECT_AND_SCATTER_ADD,
    }  # fmt: skip
    decompositions = (*primitives.LAPACK, *primitives.OF_CUDA)
    used = {*map(primitives.of_linear_algebra, decompositions), *callbacks, *others}
    assert {p.name for p in used} - {"ormqr"} == set(PRIMITIVES.values())


def test_rules_of_the_own_platforms_are_kept_by_platform_and_primitive():
    from jax_plugins.mps import primitives

    rules = resolve_name("jax._src.interpreters.mlir._platform_specific_lowerings")
    for platform, group in (("cpu", primitives.LAPACK), ("cuda", primitives.OF_CUDA)):
        assert all(callable(rules[platform][primitives.of_linear_algebra(name)].rule) for name in group)
    assert callable(rules["cpu"][primitives.SELECT_AND_SCATTER_ADD].rule)


DECOMPOSITIONS = (
    "eig", "eigh", "geqp3", "geqrf", "hessenberg", "householder_product", "lu", "schur", "svd", "tridiagonal",
    "tridiagonal_solve", "lu_pivots_to_permutation",
)  # fmt: skip

POOLING = "gradients of pooling where padding ties with infinity"

# What is lost with each private part of JAX, and nothing else.
LOST = {
    "jax._src.interpreters.mlir._platforms_with_donation": ["donation of arguments"],
    "jax._src.lax.ann.approx_top_k_p": ["jax.lax.approx_max_k and approx_min_k"],
    "jax._src.lax.parallel.pbroadcast_p": ["jax.lax.pbroadcast"],
    "jax._src.lax.windowed_reductions.select_and_scatter_add_p": [POOLING],
    "jax._src.cudnn.scaled_matmul_stablehlo._scaled_matmul_p": ["jax.nn.scaled_matmul"],
    "jax._src.callback.emit_python_callback": ["jax.pure_callback and io_callback"],
    "jax._src.debugging.debug_callback_p": ["jax.debug.callback"],
    "jax._src.debugging.debug_callback_lowering": ["jax.debug.callback"],
    "jax._src.debugging.debug_print_p": ["jax.debug.print"],
    "jax._src.debugging.debug_print_lowering_rule": ["jax.debug.print"],
    "jax._src.checkify.check_p": ["checkify's run-time checks"],
    "jax._src.checkify.check_lowering_rule": ["checkify's run-time checks"],
    "jax._src.compilation_cache.is_cache_used": ["the persistent compilation cache"],
    "jax._src.dlpack.to_dlpack": ["DLPack"],
    "jax._src.dlpack.from_dlpack": ["DLPack"],
    "jax._src.array.ArrayImpl.__dlpack_device__": ["DLPack"],
    "jax._src.array.ArrayImpl._value": ["KeyboardInterrupt while an array is waited for"],
    "jax._src.xla_bridge._alias_to_platforms": ["the name gpu"],
    "jax._src.interpreters.mlir._platform_specific_lowerings": [
        POOLING, "jax.lax.pbroadcast", *(f"decomposition {name}" for name in DECOMPOSITIONS), "decomposition ormqr",
    ],
    **{f"jax._src.lax.linalg.{name}_p": [f"decomposition {name}"] for name in DECOMPOSITIONS},
    # Whole modules.
    "jax._src.compilation_cache": ["the persistent compilation cache"],
    "jax._src.dlpack": ["DLPack"],
    "jax._src.callback": ["jax.pure_callback and io_callback"],
    "jax._src.cudnn.scaled_matmul_stablehlo": ["jax.nn.scaled_matmul"],
}  # fmt: skip

HIDE = """
import contextlib, json, logging, pkgutil, sys
import jax, jax.numpy as jnp
import jax._src.cudnn.scaled_matmul_stablehlo, jax.experimental.checkify
from jax_plugins import mps
from jax_plugins.mps import guard

device = jax.devices("mps")[0]
assert not guard.missing, guard.missing
logging.disable()

def adapt_anew():
    for name in list(sys.modules):
        if name.startswith("jax_plugins.mps.") and not name.endswith((".guard", ".registration", ".library", ".native")):
            del sys.modules[name]
            delattr(mps, name.rpartition(".")[2])
    guard.missing.clear()
    mps.adapt()
    return sorted(guard.missing)

class Without:
    # A module as those see it who import it now: without one name. JAX itself keeps it.

    def __init__(self, module, name):
        vars(self).update(module=module, name=name)

    def __getattr__(self, name):
        if name == self.name:
            raise AttributeError(f"module {self.module.__name__!r} has no attribute {name!r}")
        return getattr(self.module, name)

    def __setattr__(self, name, value):
        setattr(self.module, name, value)

@contextlib.contextmanager
def hidden(path):
    holder, _, name = path.rpartition(".")
    found = pkgutil.resolve_name(holder)
    if path in sys.modules or holder not in sys.modules:
        # A module, or what is in a class.
        value, module = getattr(found, name), sys.modules.get(path)
        delattr(found, name)
        if module:
            sys.modules[path] = None
        yield
        setattr(found, name, value)
        if module:
            sys.modules[path] = module
    else:
        parent, _, last = holder.rpartition(".")
        sys.modules[holder] = Without(found, name)
        setattr(sys.modules[parent], last, sys.modules[holder])
        yield
        sys.modules[holder] = found
        setattr(sys.modules[parent], last, found)

lost = {}
for path in json.load(sys.stdin):
    with hidden(path):
        lost[path] = adapt_anew()
    lost[path] += adapt_anew()
    assert float(jax.jit(lambda x: x * 2 + 1)(jax.device_put(3.0, device))) == 7
print(json.dumps(lost))
"""


def _run(program, text=""):
    return subprocess.run(
        [sys.executable, "-c", program],
        input=text,
        env={**os.environ, "JAX_MPS_ALIAS": "gpu"},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_each_private_part_that_moves_costs_its_own_feature_alone(device):
    if device.platform != "mps":
        pytest.skip("of the plugin alone")
    result = _run(HIDE, json.dumps(list(LOST)))
    assert result.returncode == 0, result.stderr
    ormqr = hasattr(resolve_name("jax._src.lax.linalg"), "ormqr_p")
    expected = {path: sorted(what for what in lost if ormqr or "ormqr" not in what) for path, lost in LOST.items()}
    assert json.loads(result.stdout) == expected


def test_the_user_is_told_what_is_missing(device):
    if device.platform != "mps":
        pytest.skip("of the plugin alone")
    result = _run(
        "import jax._src.lib as lib, jax._src.dlpack as dlpack\n"
        "del lib._profiler, dlpack.to_dlpack\n"
        "import jax\n"
        "print(jax.devices('mps')[0].platform, jax.numpy.arange(3).sum())"
    )
    assert result.stdout == "mps 3\n", result.stderr
    for what in ("jax.profiler", "DLPack"):
        assert f"jax-mps: {what}: not available, since an internal part of JAX is not where it was: " in result.stderr
