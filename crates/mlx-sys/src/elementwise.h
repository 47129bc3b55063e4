// Arithmetic on the CPU where MLX's own differs from what XLA computes.
#pragma once
#include <stdbool.h>
#include "mlx/c/array.h"
#include "mlx/c/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum jax_mps_binary_ {
  // Of complex64, without C's rules for infinities (annex G of C23).
  JAX_MPS_COMPLEX_MULTIPLY,
  // Of complex64, by Smith's method; what makes NaN of both parts follows annex G.
  JAX_MPS_COMPLEX_DIVIDE,
  // Of bfloat16; a NaN keeps its sign.
  JAX_MPS_BFLOAT16_ADD,
  JAX_MPS_BFLOAT16_SUBTRACT,
  JAX_MPS_BFLOAT16_MULTIPLY,
  JAX_MPS_BFLOAT16_DIVIDE,
} jax_mps_binary;

// Of two arrays of the type that the function is for, broadcast.
int jax_mps_binary_on_cpu(
    mlx_array* result, const mlx_array a, const mlx_array b, jax_mps_binary function, mlx_stream stream);

// Operands must be row-contiguous when evaluated.

// |z| of a complex64 array, without overflow on the way; NaN where either part is.
int jax_mps_complex_abs(mlx_array* result, const mlx_array a, mlx_stream stream);

// Products along the last axis, from 1 on and in the order of the elements: all of them, or the last of each row.
int jax_mps_complex_products(mlx_array* result, const mlx_array a, bool cumulative, mlx_stream stream);

// A float32 array as bfloat16; a NaN keeps its sign.
int jax_mps_to_bfloat16(mlx_array* result, const mlx_array a, mlx_stream stream);

#ifdef __cplusplus
}
#endif
