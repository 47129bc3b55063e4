"""Refusals: each error says what was refused and where, and the process lives on."""

import functools
import inspect
import os
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import jax.experimental.sparse.linalg
from jax import lax
from jax._src import compiler, xla_bridge
from jax._src.interpreters import mlir
from jax._src.lib.mlir import ir

from ops.harness import reference_device

PLATFORM = os.environ["JAX_MPS_TEST_PLATFORM"]
only_plugin = pytest.mark.skipif(PLATFORM == "cpu", reason="XLA:CPU supports what is refused here")


@pytest.fixture(autouse=True)
def alive(device):
    """After every refusal the device still computes."""
    yield
    np.testing.assert_array_equal(jax.device_put(np.arange(3), device) * 2, [0, 2, 4])


def line_here():
    return inspect.currentframe().f_back.f_lineno


def compile_text(text, device):
    """Compiles StableHLO text on the device without the tracer of JAX."""
    backend = xla_bridge.get_backend(device.platform)
    options = compiler.get_compile_options(num_replicas=1, num_partitions=1)
    with mlir.make_ir_context(), ir.Location.unknown():
        module = ir.Module.parse(text)
        devices = jax._src.lib._jax.DeviceList((device,))
        return compiler.backend_compile_and_load(backend, module, devices, options, [])


def test_unknown_custom_call_names_target_and_line(device):
    call = jax.ffi.ffi_call("no_such_target", jax.ShapeDtypeStruct((3,), np.float32))
    x = jax.device_put(np.ones(3, np.float32), device)

    def function(v):
        return call(v) + 1

    line = inspect.getsourcelines(function)[1] + 1
    with pytest.raises(jax.errors.JaxRuntimeError, match="no_such_target") as caught:
        jax.block_until_ready(jax.jit(function)(x))
    if PLATFORM != "cpu":
        message = str(caught.value)
        assert "UNIMPLEMENTED" in message
        assert re.search(rf"test_errors\.py:{line}\b", message), message


@only_plugin
@pytest.mark.parametrize(
    ("op", "body"),
    [
        (
            "infeed",
            "%t = stablehlo.create_token : !stablehlo.token\n"
            "%r:2 = \"stablehlo.infeed\"(%t) {infeed_config = \"\", layout = [[0]]}"
            " : (!stablehlo.token) -> (tensor<3xf32>, !stablehlo.token)\n"
            "return %r#0 : tensor<3xf32>",
        ),
        (
            "send",
            "%t = stablehlo.create_token : !stablehlo.token\n"
            "%s = \"stablehlo.send\"(%arg0, %t) {channel_handle ="
            " #stablehlo.channel_handle<handle = 1, type = 1>, is_host_transfer = false}"
            " : (tensor<3xf32>, !stablehlo.token) -> !stablehlo.token\n"
            "return %arg0 : tensor<3xf32>",
        ),
    ],
)
def test_unsupported_op_is_named(device, op, body):
    text = f"module @m {{ func.func public @main(%arg0: tensor<3xf32>) -> tensor<3xf32> {{\n{body}\n}} }}"
    with pytest.raises(jax.errors.JaxRuntimeError, match=rf"UNIMPLEMENTED.*{op}"):
        compile_text(text, device)


@only_plugin
def test_complex128_array_is_refused(device):
    with jax.enable_x64(True), pytest.raises(Exception, match="(?i)complex128|c128|complex<f64>"):
        jax.device_put(np.ones(3, np.complex128), device).block_until_ready()


@only_plugin
def test_complex128_inside_of_a_program_names_the_line(device):
    with jax.enable_x64(True):
        x = jax.device_put(np.ones(3, np.float64), device)

        def function(v):
            return jnp.abs(lax.complex(v, v))

        line = inspect.getsourcelines(function)[1] + 1
        with pytest.raises(jax.errors.JaxRuntimeError, match="(?i)complex128|c128|complex<f64>") as caught:
            jax.block_until_ready(jax.jit(function)(x))
    assert "UNIMPLEMENTED" in str(caught.value)
    assert re.search(rf"test_errors\.py:{line}\b", str(caught.value)), str(caught.value)


@pytest.mark.parametrize(
    "dtype",
    ["float8_e4m3fn", "float8_e5m2", "float8_e4m3b11fnuz", "float8_e8m0fnu", "float4_e2m1fn", "int2", "uint2"],
)
def test_narrow_dtypes_come_back(device, dtype):
    source = np.array([1, 0, 0, 1], np.dtype(getattr(jnp, dtype)))
    result = np.asarray(jax.device_put(source, device))
    # Bytes, since the zero of a type without one is NaN.
    assert result.dtype == source.dtype
    np.testing.assert_array_equal(result.view(np.uint8), source.view(np.uint8))


@pytest.mark.parametrize(
    ("name", "function", "symmetric"),
    [
        ("eigh", jnp.linalg.eigh, True),
        ("svd", lambda a: jnp.linalg.svd(a, full_matrices=False), False),
        ("qr", jnp.linalg.qr, False),
        ("lu", lambda a: jax.scipy.linalg.lu(a), False),
        ("eig", jnp.linalg.eig, False),
        ("schur", jax.scipy.linalg.schur, False),
        ("hessenberg", jax.scipy.linalg.hessenberg, False),
        ("tridiagonal", lambda a: lax.linalg.tridiagonal(a)[1:3], True),
        ("cholesky", lambda a: jnp.linalg.cholesky(a @ a.T + jnp.eye(4, dtype=a.dtype)), True),
        ("pivoted_qr", lambda a: jax.scipy.linalg.qr(a, pivoting=True)[:2], False),
        ("polar", lambda a: jax.scipy.linalg.polar(a, method="svd"), False),
        ("expm", jax.scipy.linalg.expm, False),
    ],
)
def test_decompositions_work(device, name, function, symmetric):
    """What ``docs/ops.md`` lists; those that are refused stand in the next test."""
    matrix = np.random.default_rng(5).standard_normal((4, 4)).astype(np.float32)
    if symmetric:
        matrix = matrix + matrix.T
    want = jax.tree.leaves(function(jax.device_put(matrix, reference_device())))
    got = jax.tree.leaves(jax.block_until_ready(function(jax.device_put(matrix, device))))
    for one, other in zip(got, want, strict=True):
        # Vectors are determined up to their signs or phases.
        np.testing.assert_allclose(np.abs(one), np.abs(other), rtol=2e-4, atol=2e-5)


@only_plugin
@pytest.mark.parametrize(
    ("function", "message"),
    [
        (jnp.linalg.eig, r"UNIMPLEMENTED.*lapack_dgeev_ffi.*test_errors\.py.*mlx has no complex<f64>"),
        (functools.partial(jax.scipy.linalg.schur, output="complex"), r"UNIMPLEMENTED.*complex<f64>"),
    ],
    ids=["eig", "schur_complex"],
)
def test_decompositions_into_complex128_are_refused(device, function, message):
    with jax.enable_x64(True), pytest.raises(jax.errors.JaxRuntimeError, match=message):
        jax.block_until_ready(function(jax.device_put(np.eye(3) + 1, device)))


@only_plugin
def test_sparse_solve_is_refused_by_jax(device):
    """It has rules for the CPU and CUDA alone."""
    solve = jax.experimental.sparse.linalg.spsolve
    matrix = [np.ones(3, np.float32), np.arange(3, dtype=np.int32), np.arange(4, dtype=np.int32)]
    with jax.default_device(device), pytest.raises(NotImplementedError, match="'spsolve' not found for platform"):
        solve(*matrix, np.ones(3, np.float32))


def test_serialized_executable_that_is_corrupt(device):
    backend = xla_bridge.get_backend(device.platform)
    options = compiler.get_compile_options(num_replicas=1, num_partitions=1)
    devices = jax._src.lib._jax.DeviceList((device,))
    for garbage in (b"", b"\x00", b"ML\xefR" + bytes(50), os.urandom(400)):
        with pytest.raises(Exception) as caught:
            backend.deserialize_executable(garbage, devices, options)
        assert str(caught.value)


def test_program_text_that_is_not_valid(device):
    with pytest.raises(Exception) as caught:
        compile_text("module { func.func @main( }", device)
    assert str(caught.value)


def test_deleted_array(device):
    x = jax.device_put(np.ones(3, np.float32), device)
    function = jax.jit(lambda v: v + 1)
    function(x).block_until_ready()
    x.delete()
    with pytest.raises(RuntimeError, match="deleted"):
        function(x)


def test_wrong_number_of_arguments(device):
    compiled = jax.jit(lambda x, y: x + y).lower(*[jax.ShapeDtypeStruct((3,), np.float32)] * 2).compile()
    x = jax.device_put(np.ones(3, np.float32), device)
    with pytest.raises(TypeError, match="called with|arguments"):
        compiled(x)


def test_wrong_shape_and_dtype(device):
    with jax.default_device(device):
        compiled = jax.jit(lambda x: x + 1).lower(jax.ShapeDtypeStruct((3,), np.float32)).compile()
    for wrong in (np.ones(4, np.float32), np.ones(3, np.int32)):
        with pytest.raises(TypeError, match="types|differ"):
            compiled(jax.device_put(wrong, device))


def test_result_beyond_all_memory(device):
    """4 TiB: refused when compiled or when executed, by an error of JAX."""
    with jax.default_device(device), pytest.raises(jax.errors.JaxRuntimeError, match="(?i)exhausted|memory|too large"):
        jax.block_until_ready(
            jax.jit(lambda: lax.broadcasted_iota(np.float32, (2**20, 2**20), 0) + 1)()
        )


def test_intermediate_beyond_all_memory(device):
    x = jax.device_put(np.ones(2**20, np.float32), device)
    with pytest.raises(jax.errors.JaxRuntimeError, match="(?i)exhausted|memory|too large"):
        jax.block_until_ready(jax.jit(lambda v: jnp.sort(jnp.sin(jnp.outer(v, v)), axis=0)[5])(x))


def test_dimension_beyond_32_bits(device):
    with jax.default_device(device), pytest.raises(jax.errors.JaxRuntimeError):
        jax.block_until_ready(jax.jit(lambda: lax.iota(np.float32, 2**41) * 2)())


def test_error_of_one_thread_is_not_the_error_of_another(device):
    import threading

    outcomes = {}

    def work(index):
        x = jax.device_put(np.full(3, index, np.float32), device)
        if index % 2:
            call = jax.ffi.ffi_call(f"no_such_target_{index}", jax.ShapeDtypeStruct((3,), np.float32))
            try:
                jax.block_until_ready(jax.jit(call)(x))
            except jax.errors.JaxRuntimeError as error:
                outcomes[index] = f"no_such_target_{index}" in str(error)
        else:
            outcomes[index] = bool(np.all(np.asarray(jax.jit(lambda v: v * 2)(x)) == 2 * index))

    threads = [threading.Thread(target=work, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == dict.fromkeys(range(6), True)


def test_nan_debugging_raises(device):
    x = jax.device_put(np.array([-1.0], np.float32), device)
    with jax.debug_nans(True), pytest.raises(FloatingPointError):
        jnp.log(x).block_until_ready()
