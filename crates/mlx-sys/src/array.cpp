// Arrays' memory: where it lies, and arrays in memory that is not MLX's.
#include <stdexcept>
#include "allocate.h"
#include "launch.h"
#include "mlx/c/error.h"
#include "mlx/c/private/mlx.h"

extern "C" int jax_mps_array_data(const mlx_array array, void** data) {
  try {
    *data = mlx_array_get_(array).data<void>();
    return 0;
  } catch (std::exception& e) {
    mlx_error("%s", e.what());
    return 1;
  }
}

extern "C" int jax_mps_array_buffer_slice(const mlx_array array, const void** allocation, int64_t* offset) {
  try {
    auto& a = mlx_array_get_(array);
    *allocation = a.buffer().ptr();
    *offset = a.offset();
    return 0;
  } catch (std::exception& e) {
    mlx_error("%s", e.what());
    return 1;
  }
}

extern "C" mlx_array jax_mps_array_new_unwritten(const int* shape, int dim, mlx_dtype dtype) {
  try {
    mlx::core::Shape sizes(shape, shape + dim);
    auto type = mlx_dtype_to_cpp(dtype);
    size_t bytes = mlx::core::size_of(type);
    for (auto size : sizes) {
      bytes *= size;
    }
    auto memory = mlx::core::allocator::malloc(bytes);
    // MLX's CPU allocator hands out null where the system has no more.
    if (bytes > 0 && memory.buffer().ptr() == nullptr) {
      throw std::runtime_error("[malloc] Unable to allocate " + std::to_string(bytes) + " bytes.");
    }
    return mlx_array_new_(mlx::core::array(std::move(memory), std::move(sizes), type));
  } catch (std::exception& e) {
    mlx_error("%s", e.what());
    return mlx_array_new_();
  }
}

extern "C" mlx_array jax_mps_array_new_borrowed(
    void* data,
    const int* shape,
    int dim,
    mlx_dtype dtype,
    void* payload,
    void (*release)(void*)) {
#if !defined(_METAL_)
  try {
    // MLX's CPU allocator keeps a length in front of what it hands out, which is read only when it takes memory back. Memory
    // with a function of its own for that is never taken back, nor written to: MLX reuses only what it owns.
    if (!mlx::core::is_available(mlx::core::Device::gpu)) {
      mlx::core::allocator::Buffer buffer(static_cast<size_t*>(data) - 1);
      if (buffer.raw_ptr() == data) {
        mlx::core::allocator::Data memory(buffer, [payload, release](mlx::core::allocator::Buffer) { release(payload); });
        return mlx_array_new_(
            mlx::core::array(std::move(memory), mlx::core::Shape(shape, shape + dim), mlx_dtype_to_cpp(dtype)));
      }
    }
  } catch (std::exception& e) {
    mlx_error("%s", e.what());
  }
#endif
  return mlx_array_new_();
}
