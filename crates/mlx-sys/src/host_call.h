// A step of MLX's graph that a function of the host computes.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "mlx/c/array.h"
#include "mlx/c/stream.h"
#include "mlx/c/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

// Reads the inputs' elements (row-major) and writes the outputs'. Runs on a thread of MLX; keeps its failures itself, by
// the number of the launch.
typedef void (*jax_mps_host_function)(
    const void* data,
    uint64_t launch,
    const void* const* inputs,
    const size_t* input_bytes,
    size_t input_count,
    void* const* outputs,
    const size_t* output_bytes,
    size_t output_count);

// Builds the step on a CPU stream. `shapes` holds the outputs' shapes one after the other, `ranks` their lengths. The
// inputs must be row-contiguous when evaluated. `amends`: the one output begins as the first input, in place where nothing
// else needs that; the function must not read this input. `launch` is asked when the step is scheduled. `drop` is called
// once on `data`, also on error.
int jax_mps_host_call(
    mlx_vector_array* results,
    const mlx_array* inputs,
    size_t input_count,
    const int* shapes,
    const size_t* ranks,
    const mlx_dtype* dtypes,
    size_t output_count,
    bool amends,
    jax_mps_host_function function,
    uint64_t (*launch)(void),
    void* data,
    void (*drop)(void*),
    mlx_stream stream);

#ifdef __cplusplus
}
#endif
