// A launch: the events of one mlx::core::async_eval, to be polled and waited on by any thread.
//
// array::wait and array::is_available write to the array's shared description, so two threads may not call them on the
// same array, nor while another thread evaluates a graph that uses it. A launch owns arrays of its own that carry copies
// of the events and that nobody else sees.
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>
#include "launch.h"
#include "mlx/c/error.h"
#include "mlx/c/private/mlx.h"

struct jax_mps_launch {
  std::vector<mlx::core::array> probes;
};

extern "C" jax_mps_launch* jax_mps_launch_new(const mlx_array* arrays, size_t count) {
  try {
    auto launch = new jax_mps_launch;
    for (size_t i = 0; i < count; ++i) {
      auto& a = mlx_array_get_(arrays[i]);
      if (a.status() != mlx::core::array::Status::evaluated) {
        continue;
      }
      const auto& event = a.event();
      if (!event.valid()) {
        continue;
      }
      bool known = false;
      for (auto& probe : launch->probes) {
        auto& other = probe.event();
        known |= &other.cast<char>() == &event.cast<char>() && other.value() == event.value();
      }
      if (known) {
        continue;
      }
      mlx::core::array probe(
          mlx::core::Shape{}, mlx::core::bool_, std::shared_ptr<mlx::core::Primitive>{}, std::vector<mlx::core::array>{});
      probe.set_status(mlx::core::array::Status::evaluated);
      probe.attach_event(event);
      launch->probes.push_back(std::move(probe));
    }
    return launch;
  } catch (std::exception& e) {
    mlx_error(e.what());
    return nullptr;
  }
}

extern "C" int jax_mps_launch_is_ready(const jax_mps_launch* launch, bool* ready) {
  try {
    *ready = true;
    for (auto& probe : launch->probes) {
      *ready &= probe.is_available();
    }
    return 0;
  } catch (std::exception& e) {
    mlx_error(e.what());
    return 1;
  }
}

extern "C" int jax_mps_launch_wait(jax_mps_launch* launch) {
  try {
    for (auto& probe : launch->probes) {
      probe.wait();
    }
    return 0;
  } catch (std::exception& e) {
    mlx_error(e.what());
    return 1;
  }
}

extern "C" void jax_mps_launch_free(jax_mps_launch* launch) {
  delete launch;
}

extern "C" int jax_mps_array_data(const mlx_array array, void** data) {
  try {
    *data = mlx_array_get_(array).data<void>();
    return 0;
  } catch (std::exception& e) {
    mlx_error(e.what());
    return 1;
  }
}

extern "C" int jax_mps_array_place(const mlx_array array, const void** allocation, int64_t* offset) {
  try {
    auto& a = mlx_array_get_(array);
    *allocation = a.buffer().ptr();
    *offset = a.offset();
    return 0;
  } catch (std::exception& e) {
    mlx_error(e.what());
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
    mlx::core::array unwritten(mlx::core::allocator::malloc(bytes), std::move(sizes), type);
    // MLX's CPU allocator hands out null where the system has no more.
    if (bytes > 0 && unwritten.buffer().ptr() == nullptr) {
      throw std::runtime_error("[malloc] Unable to allocate " + std::to_string(bytes) + " bytes.");
    }
    return mlx_array_new_(std::move(unwritten));
  } catch (std::exception& e) {
    mlx_error(e.what());
    return mlx_array_new_();
  }
}
