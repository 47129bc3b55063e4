// Primitives whose CPU code is in kernels.cpp.
#include <algorithm>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>
#include "allocate.h"
#include "elementwise.h"
#include "kernels.h"
#include "mlx/backend/cpu/encoder.h"
#include "mlx/c/error.h"
#include "mlx/c/private/mlx.h"
#include "mlx/ops.h"
#include "mlx/primitives.h"

namespace {

class OnCpu : public mlx::core::Primitive {
 public:
  OnCpu(mlx::core::Stream stream, const char* name) : Primitive(stream), name_(name) {}

  void eval_gpu(const std::vector<mlx::core::array>&, std::vector<mlx::core::array>&) override {
    throw std::runtime_error(std::string(name_) + " has no GPU code");
  }

  const char* name() const override {
    return name_;
  }

 private:
  const char* name_;
};

// Of two arrays of the result's shape and element type.
class BinaryOnCpu : public OnCpu {
 public:
  BinaryOnCpu(mlx::core::Stream stream, jax_mps::BinaryKernel kernel)
      : OnCpu(stream, "BinaryOnCpu"), kernel_(kernel) {}

  void eval_cpu(const std::vector<mlx::core::array>& inputs, std::vector<mlx::core::array>& outputs) override {
    auto& out = outputs[0];
    auto operands = std::pair(operand(inputs[0]), operand(inputs[1]));
    auto reused = std::find_if(inputs.begin(), inputs.end(), [](const auto& input) {
      return input.is_donatable() && input.flags().row_contiguous && input.data_size() == input.size();
    });
    if (reused != inputs.end()) {
      out.copy_shared_buffer(*reused);
    } else {
      out.set_data(jax_mps::allocate(out.nbytes()));
    }
    if (out.size() == 0) {
      return;
    }
    auto& encoder = mlx::core::cpu::get_command_encoder(stream());
    encoder.set_input_array(inputs[0]);
    encoder.set_input_array(inputs[1]);
    encoder.set_output_array(out);
    encoder.dispatch([kernel = kernel_,
                      operands = std::move(operands),
                      target = out.data<void>(),
                      shape = std::vector<int>(out.shape().begin(), out.shape().end()),
                      size = out.size()]() { kernel(operands.first, operands.second, target, shape, size); });
  }

 private:
  static jax_mps::Operand operand(const mlx::core::array& a) {
    if (a.size() == 0) {
      return {nullptr, {}};
    }
    if (a.flags().row_contiguous) {
      return {a.data<void>(), {}};
    }
    return {a.data<void>(), std::vector<int64_t>(a.strides().begin(), a.strides().end())};
  }

  jax_mps::BinaryKernel kernel_;
};

// Of one row-contiguous array.
class UnaryOnCpu : public OnCpu {
 public:
  using Kernel = std::function<void(const void* source, void* target, size_t size)>;

  UnaryOnCpu(mlx::core::Stream stream, const char* name, Kernel kernel)
      : OnCpu(stream, name), kernel_(std::move(kernel)) {}

  void eval_cpu(const std::vector<mlx::core::array>& inputs, std::vector<mlx::core::array>& outputs) override {
    auto& in = inputs[0];
    auto& out = outputs[0];
    if (in.size() > 0 && !in.flags().row_contiguous) {
      throw std::runtime_error(std::string(name()) + ": the operand is not row-contiguous");
    }
    out.set_data(jax_mps::allocate(out.nbytes()));
    if (in.size() == 0) {
      return;
    }
    auto& encoder = mlx::core::cpu::get_command_encoder(stream());
    encoder.set_input_array(in);
    encoder.set_output_array(out);
    encoder.dispatch([kernel = kernel_, source = in.data<void>(), target = out.data<void>(), size = in.size()]() {
      kernel(source, target, size);
    });
  }

 private:
  Kernel kernel_;
};

jax_mps::BinaryKernel kernel_of(jax_mps_binary function) {
  switch (function) {
    case JAX_MPS_COMPLEX_MULTIPLY:
      return jax_mps::complex_multiply;
    case JAX_MPS_COMPLEX_DIVIDE:
      return jax_mps::complex_divide;
    case JAX_MPS_BFLOAT16_ADD:
      return jax_mps::bfloat16_add;
    case JAX_MPS_BFLOAT16_SUBTRACT:
      return jax_mps::bfloat16_subtract;
    case JAX_MPS_BFLOAT16_MULTIPLY:
      return jax_mps::bfloat16_multiply;
    case JAX_MPS_BFLOAT16_DIVIDE:
      return jax_mps::bfloat16_divide;
  }
  throw std::invalid_argument("no such function of two arrays");
}

int build(mlx_array* result, const std::function<mlx::core::array()>& make) {
  try {
    mlx_array_set_(*result, make());
    return 0;
  } catch (std::exception& e) {
    mlx_error("%s", e.what());
    return 1;
  }
}

mlx::core::array unary(
    const mlx::core::array& operand,
    mlx::core::Shape shape,
    mlx::core::Dtype dtype,
    mlx_stream stream,
    const char* name,
    UnaryOnCpu::Kernel kernel) {
  auto primitive = std::make_shared<UnaryOnCpu>(mlx_stream_get_(stream), name, std::move(kernel));
  return mlx::core::array(std::move(shape), dtype, std::move(primitive), {operand});
}

} // namespace

extern "C" int jax_mps_binary_on_cpu(
    mlx_array* result, const mlx_array a, const mlx_array b, jax_mps_binary function, mlx_stream stream) {
  return build(result, [&] {
    auto where = mlx_stream_get_(stream);
    auto operands = std::vector{mlx_array_get_(a), mlx_array_get_(b)};
    auto dtype = function <= JAX_MPS_COMPLEX_DIVIDE ? mlx::core::complex64 : mlx::core::bfloat16;
    if (operands[0].dtype() != dtype || operands[1].dtype() != dtype) {
      throw std::invalid_argument("operands of another type");
    }
    if (operands[0].shape() != operands[1].shape()) {
      operands = mlx::core::broadcast_arrays(operands, where);
    }
    auto shape = operands[0].shape();
    auto primitive = std::make_shared<BinaryOnCpu>(where, kernel_of(function));
    return mlx::core::array(std::move(shape), dtype, std::move(primitive), std::move(operands));
  });
}

extern "C" int jax_mps_complex_abs(mlx_array* result, const mlx_array a, mlx_stream stream) {
  return build(result, [&] {
    auto& operand = mlx_array_get_(a);
    return unary(
        operand, operand.shape(), mlx::core::float32, stream, "ComplexAbs", [](auto source, auto target, auto size) {
          jax_mps::complex_abs(
              static_cast<const jax_mps::Complex*>(source), static_cast<float*>(target), size);
        });
  });
}

extern "C" int jax_mps_complex_products(mlx_array* result, const mlx_array a, bool cumulative, mlx_stream stream) {
  return build(result, [&] {
    auto& operand = mlx_array_get_(a);
    auto shape = operand.shape();
    auto length = static_cast<size_t>(shape.back());
    if (!cumulative) {
      shape.pop_back();
    }
    return unary(
        operand,
        std::move(shape),
        mlx::core::complex64,
        stream,
        "ComplexProducts",
        [length, cumulative](auto source, auto target, auto size) {
          jax_mps::complex_products(
              static_cast<const jax_mps::Complex*>(source),
              static_cast<jax_mps::Complex*>(target),
              size,
              length,
              cumulative);
        });
  });
}

extern "C" int jax_mps_to_bfloat16(mlx_array* result, const mlx_array a, mlx_stream stream) {
  return build(result, [&] {
    auto& operand = mlx_array_get_(a);
    return unary(
        operand,
        operand.shape(),
        mlx::core::bfloat16,
        stream,
        "ToBfloat16",
        [](auto source, auto target, auto size) {
          jax_mps::to_bfloat16(static_cast<const float*>(source), static_cast<uint16_t*>(target), size);
        });
  });
}
