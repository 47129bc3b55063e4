// A primitive whose CPU code is a function of the host.
#include <cstring>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>
#include "allocate.h"
#include "host_call.h"
#include "mlx/backend/cpu/encoder.h"
#include "mlx/c/error.h"
#include "mlx/c/private/mlx.h"
#include "mlx/primitives.h"

namespace {

// Shared by the primitive and its running task: MLX may drop the primitive before the task runs.
struct HostState {
  jax_mps_host_function function;
  uint64_t (*launch)(void);
  void* data;
  void (*drop)(void*);
  ~HostState() {
    drop(data);
  }
};

class HostCall : public mlx::core::Primitive {
 public:
  HostCall(mlx::core::Stream stream, std::shared_ptr<HostState> state, bool amends)
      : Primitive(stream), state_(std::move(state)), amends_(amends) {}

  void eval_cpu(const std::vector<mlx::core::array>& inputs, std::vector<mlx::core::array>& outputs) override {
    std::vector<const void*> sources;
    std::vector<size_t> source_bytes;
    for (auto& input : inputs) {
      if (input.size() > 0 && !input.flags().row_contiguous) {
        throw std::runtime_error("host call: an input is not row-contiguous");
      }
      sources.push_back(input.size() > 0 ? input.data<void>() : nullptr);
      source_bytes.push_back(input.nbytes());
    }
    std::vector<void*> targets;
    std::vector<size_t> target_bytes;
    bool in_place = amends_ && inputs[0].is_donatable() && inputs[0].data_size() == outputs[0].size();
    bool copies = amends_ && !in_place && outputs[0].size() > 0;
    for (auto& output : outputs) {
      if (in_place) {
        output.copy_shared_buffer(inputs[0]);
      } else {
        output.set_data(jax_mps::allocate(output.nbytes()));
      }
      targets.push_back(output.size() > 0 ? output.data<void>() : nullptr);
      target_bytes.push_back(output.nbytes());
    }
    auto& encoder = mlx::core::cpu::get_command_encoder(stream());
    for (auto& input : inputs) {
      encoder.set_input_array(input);
    }
    for (auto& output : outputs) {
      encoder.set_output_array(output);
    }
    // No exception for a failure: the function keeps it itself (src/mlx/failures.rs).
    encoder.dispatch([state = state_, launch = state_->launch(), sources, source_bytes, targets, target_bytes, copies]() {
      if (copies) {
        std::memcpy(targets[0], sources[0], target_bytes[0]);
      }
      state->function(
          state->data,
          launch,
          sources.data(),
          source_bytes.data(),
          sources.size(),
          targets.data(),
          target_bytes.data(),
          targets.size());
    });
  }

  void eval_gpu(const std::vector<mlx::core::array>&, std::vector<mlx::core::array>&) override {
    throw std::runtime_error("host call: has no GPU code");
  }

  const char* name() const override {
    return "HostCall";
  }

 private:
  std::shared_ptr<HostState> state_;
  bool amends_;
};

} // namespace

extern "C" int jax_mps_host_call(
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
    mlx_stream stream) {
  try {
    std::shared_ptr<HostState> state(new HostState{function, launch, data, drop});
    std::vector<mlx::core::array> arguments;
    for (size_t i = 0; i < input_count; ++i) {
      arguments.push_back(mlx_array_get_(inputs[i]));
    }
    std::vector<mlx::core::Shape> output_shapes;
    std::vector<mlx::core::Dtype> output_dtypes;
    for (size_t i = 0; i < output_count; ++i) {
      output_shapes.emplace_back(shapes, shapes + ranks[i]);
      output_dtypes.push_back(mlx_dtype_to_cpp(dtypes[i]));
      shapes += ranks[i];
    }
    auto primitive = std::make_shared<HostCall>(mlx_stream_get_(stream), std::move(state), amends);
    mlx_vector_array_set_(*results, mlx::core::array::make_arrays(output_shapes, output_dtypes, primitive, arguments));
    return 0;
  } catch (std::exception& e) {
    mlx_error("%s", e.what());
    return 1;
  }
}
