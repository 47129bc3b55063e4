// What this crate adds to mlx-c.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "mlx/c/array.h"

#ifdef __cplusplus
extern "C" {
#endif

// The pending events of evaluated arrays. Null on error (reported through mlx-c's error handler).
typedef struct jax_mps_launch jax_mps_launch;
jax_mps_launch* jax_mps_launch_new(const mlx_array* arrays, size_t count);
// Not to be called by two threads at once for one launch.
int jax_mps_launch_is_ready(const jax_mps_launch* launch, bool* ready);
// Not to be called by two threads at once for one launch. Reports an error of the evaluation.
int jax_mps_launch_wait(jax_mps_launch* launch);
void jax_mps_launch_free(jax_mps_launch* launch);
// Address of the first element for the host. The array must be available, and nothing on its way may read or write it:
// MLX's CUDA backend moves the elements to where the host can read them, behind the back of what is under way.
int jax_mps_array_data(mlx_array array, void** data);
// Where the elements of an array lie that is evaluated, if not yet available: which allocation, and how far into it.
// Arrays that share elements share this place.
int jax_mps_array_place(mlx_array array, const void** allocation, int64_t* offset);
// An array with memory that nobody has written to yet. Empty on error (reported through mlx-c's error handler).
mlx_array jax_mps_array_new_unwritten(const int* shape, int dim, mlx_dtype dtype);

#ifdef __cplusplus
}
#endif
