"""Pins every part of JAX without a public interface that the plugin touches.

A release of JAX that moves one of them fails here, by name, and not at a
user's first program.
"""

import inspect
from pkgutil import resolve_name

import pytest


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
    others = {primitives.APPROX_TOP_K, primitives.PBROADCAST, primitives.SCALED_MATMUL}
    used = {*primitives.LAPACK, *primitives.OF_CUDA, *callbacks, *others}
    assert {p.name for p in used} - {"ormqr"} == set(PRIMITIVES.values())


def test_rules_of_the_own_platforms_are_kept_by_platform_and_primitive():
    from jax_plugins.mps import primitives

    rules = resolve_name("jax._src.interpreters.mlir._platform_specific_lowerings")
    for platform, group in (("cpu", primitives.LAPACK), ("cuda", primitives.OF_CUDA)):
        assert all(callable(rules[platform][primitive].rule) for primitive in group)
