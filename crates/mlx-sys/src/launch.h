// What this crate adds to mlx-c.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "mlx/c/array.h"
#include "mlx/c/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

// Told of an error that MLX stored while work was under way: that of the launch, or, for launch 0, of any launch until now.
// Called on any thread, before the launch is ready.
typedef void (*jax_mps_report)(uint64_t launch, const char* message);

// Schedules the evaluation of the arrays (reports an error through mlx-c's error handler).
int jax_mps_evaluate(const mlx_array* arrays, size_t count);

// Work that has been scheduled: what the arrays wait for, and all that is on `streams` (of the CPU) so far. To be called
// under the lock that serialises evaluation. Null on error (reported through mlx-c's error handler).
typedef struct jax_mps_launch jax_mps_launch;
jax_mps_launch* jax_mps_launch_new(
    const mlx_array* arrays,
    size_t count,
    const mlx_stream* streams,
    size_t stream_count,
    uint64_t number,
    jax_mps_report report);
// Not to be called by two threads at once for one launch.
int jax_mps_launch_is_ready(const jax_mps_launch* launch, bool* ready);
// Not to be called by two threads at once for one launch. Reports an error of the evaluation.
int jax_mps_launch_wait(jax_mps_launch* launch);
void jax_mps_launch_free(jax_mps_launch* launch);

// Makes the calling thread, which must live as long as the process, the one that MLX takes for the main thread, unless
// another has been first; tells whether it is. The stream is one of the CPU that nobody has used.
bool jax_mps_become_main_thread(mlx_stream stream);

// Address of the first element for the host. The array must be available, and nothing on its way may read or write it:
// MLX's CUDA backend moves the elements to where the host can read them, behind the back of what is under way.
int jax_mps_array_data(mlx_array array, void** data);
// Where the elements of an array lie that is evaluated, if not yet available: which allocation, and how far into it.
// Arrays that share elements share this slice.
int jax_mps_array_buffer_slice(mlx_array array, const void** allocation, int64_t* offset);
// An array with memory that nobody has written to yet. Empty on error (reported through mlx-c's error handler).
mlx_array jax_mps_array_new_unwritten(const int* shape, int dim, mlx_dtype dtype);
// An array in memory of the caller's for MLX's CPU backend, whose own function for that copies. `release` is called once
// on `payload`, when nobody reads the memory any more. Empty where MLX's memory is a GPU's, or on error; then `release` is
// not called.
mlx_array jax_mps_array_new_borrowed(
    void* data,
    const int* shape,
    int dim,
    mlx_dtype dtype,
    void* payload,
    void (*release)(void*));

// For tests: the next evaluations of this thread fail with that message, which lives as long, before they do anything.
void jax_mps_fail_evaluations(int count, const char* message);
// For tests: a copy of an array on a stream of the CPU, whose task sleeps and then throws.
int jax_mps_throwing_copy(mlx_array* result, mlx_array input, const char* message, int milliseconds, mlx_stream stream);

#ifdef __cplusplus
}
#endif
