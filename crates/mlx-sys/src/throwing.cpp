// For tests: a primitive whose task throws, as MLX's own may (LAPACK, memory).
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>
#include "allocate.h"
#include "launch.h"
#include "mlx/backend/cpu/encoder.h"
#include "mlx/c/error.h"
#include "mlx/c/private/mlx.h"
#include "mlx/primitives.h"

namespace {

class ThrowingCopy : public mlx::core::Primitive {
 public:
  ThrowingCopy(mlx::core::Stream stream, std::string message, int milliseconds)
      : Primitive(stream), message_(std::move(message)), milliseconds_(milliseconds) {}

  void eval_cpu(const std::vector<mlx::core::array>& inputs, std::vector<mlx::core::array>& outputs) override {
    auto& input = inputs[0];
    auto& output = outputs[0];
    output.set_data(jax_mps::allocate(output.nbytes()));
    std::memset(output.data<void>(), 0, output.nbytes());
    auto& encoder = mlx::core::cpu::get_command_encoder(stream());
    encoder.set_input_array(input);
    encoder.set_output_array(output);
    encoder.dispatch([message = message_, milliseconds = milliseconds_]() {
      std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
      throw std::runtime_error(message);
    });
  }

  void eval_gpu(const std::vector<mlx::core::array>&, std::vector<mlx::core::array>&) override {
    throw std::runtime_error("throwing copy: has no GPU code");
  }

  const char* name() const override {
    return "ThrowingCopy";
  }

 private:
  std::string message_;
  int milliseconds_;
};

} // namespace

extern "C" int jax_mps_throwing_copy(
    mlx_array* result,
    mlx_array input,
    const char* message,
    int milliseconds,
    mlx_stream stream) {
  try {
    auto& a = mlx_array_get_(input);
    auto primitive = std::make_shared<ThrowingCopy>(mlx_stream_get_(stream), message, milliseconds);
    mlx_array_set_(*result, mlx::core::array(a.shape(), a.dtype(), primitive, {a}));
    return 0;
  } catch (std::exception& e) {
    mlx_error("%s", e.what());
    return 1;
  }
}
