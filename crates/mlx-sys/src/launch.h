// What this crate adds to mlx-c.
#pragma once
#include <stdbool.h>
#include <stddef.h>
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
// Address of the first element of an array whose data exists (evaluated; not necessarily available).
int jax_mps_array_data(mlx_array array, void** data);

#ifdef __cplusplus
}
#endif
