// Allocations of ours, with a second try.
#pragma once
#include <cstddef>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include "mlx/allocator.h"
#include "mlx/memory.h"

namespace jax_mps {

// Memory of MLX's. Where there is none, MLX gives its cache back to the system and is asked once more. To be called where
// MLX evaluates, or under the lock that serialises evaluation: to give back is to wait for the streams of the CPU.
inline mlx::core::allocator::Data allocate(size_t bytes) {
  auto attempt = [bytes]() -> std::optional<mlx::core::allocator::Data> {
    auto memory = mlx::core::allocator::malloc(bytes);
    // MLX's CPU allocator hands out null where the system has no more; Metal's and CUDA's throw.
    if (bytes > 0 && memory.buffer().ptr() == nullptr) {
      return std::nullopt;
    }
    return memory;
  };
  try {
    if (auto memory = attempt()) {
      return std::move(*memory);
    }
  } catch (const std::exception&) {
  }
  mlx::core::clear_cache();
  if (auto memory = attempt()) {
    return std::move(*memory);
  }
  throw std::runtime_error("[malloc] Unable to allocate " + std::to_string(bytes) + " bytes.");
}

} // namespace jax_mps
