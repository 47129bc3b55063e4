// A launch: scheduled work, to be polled and waited on by any thread.
//
// MLX stores an error of a task in the task's stream, and tells the first who waits for anything on that stream; who asks
// later, or second, hears that all is well, and who only polls hears nothing. So a launch ends with a task of ours on each
// of its streams, which takes the error before anybody else can and reports it by the launch's number. It does so as well
// where a stream has taken over the error of another, whose results it waited for.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>
#include "launch.h"
#include "mlx/c/error.h"
#include "mlx/c/private/mlx.h"
#include "mlx/scheduler.h"
#include "mlx/transforms.h"
#if defined(_METAL_)
// From mlx/backend/metal/device.h and event.h of 0.32.4, whose includes need Apple's own headers.
namespace mlx::core::metal {
class CommandEncoder {
 public:
  void commit(std::function<void()> completion);
};
CommandEncoder& get_command_encoder(Stream s);
// EventImpl begins with it.
using EventError = std::atomic<Error*>;
} // namespace mlx::core::metal
#endif

namespace {

// How many of a launch's streams have not come to its end.
class Ends {
 public:
  void begin() {
    left_.fetch_add(1, std::memory_order_relaxed);
  }
  void finish() {
    bool last;
    {
      // Under the lock, or who waits could miss it; who is woken under it would have to wait again.
      std::lock_guard lock(mutex_);
      last = left_.fetch_sub(1, std::memory_order_release) == 1;
    }
    if (last) {
      done_.notify_all();
    }
  }
  bool all() const {
    return left_.load(std::memory_order_acquire) == 0;
  }
  void wait() {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return all(); });
  }

 private:
  std::mutex mutex_;
  std::condition_variable done_;
  std::atomic<size_t> left_{0};
};

// Held from taking an error until it is reported: the end of a stream that waited for another may not come in between.
std::mutex taking;

// Puts the launch's end on a stream of the CPU.
void end_on(
    const std::shared_ptr<Ends>& ends,
    mlx::core::Stream stream,
    uint64_t number,
    jax_mps_report report) {
  auto task = [ends, stream, number, report]() {
    {
      std::lock_guard lock(taking);
      try {
        mlx::core::scheduler::check_error(stream);
      } catch (const std::exception& error) {
        report(number, error.what());
      }
    }
    ends->finish();
  };
  ends->begin();
  try {
    mlx::core::scheduler::enqueue(stream, task);
  } catch (const std::exception& error) {
    // On MLX's main thread: the error of a task, of whatever launch, which is taken by this. There is no second before the
    // stream has run another task that fails.
    report(0, error.what());
    mlx::core::scheduler::enqueue(stream, task);
  }
}

#if defined(_METAL_)
// Commits an empty command buffer, whose completion follows that of all before. MLX's own handler of the launch's last
// buffer has then marked the events of what failed; the GPU signals them before.
void end_on_gpu(
    const std::shared_ptr<Ends>& ends,
    std::vector<mlx::core::Event> events,
    mlx::core::Stream stream,
    uint64_t number,
    jax_mps_report report) {
  ends->begin();
  mlx::core::metal::get_command_encoder(stream).commit(
      [ends, events = std::move(events), number, report]() {
        {
          std::lock_guard lock(taking);
          for (auto& event : events) {
            // Copied, not taken: MLX goes on to mark what comes after until the next evaluation finds it.
            auto* stored = event.cast<mlx::core::metal::EventError>().load();
            mlx::core::Error error;
            if (stored == nullptr) {
              continue;
            }
            error.store_if_valid(stored);
            try {
              error.check();
              report(number, "[METAL] Command buffer execution failed, and another program was told why.");
            } catch (const std::exception& error) {
              report(number, error.what());
            }
          }
        }
        ends->finish();
      });
}
#endif

// Evaluations of this thread that are to fail, and how.
thread_local int faults = 0;
thread_local const char* fault = nullptr;

} // namespace

struct jax_mps_launch {
  std::shared_ptr<Ends> ends;
  // Arrays with copies of the events of GPUs: MLX exports no other way to them. array::wait and array::is_available write to
  // the array's shared description; nobody else sees that of these.
  std::vector<mlx::core::array> probes;
};

extern "C" int jax_mps_evaluate(const mlx_array* arrays, size_t count) {
  try {
    if (faults > 0) {
      --faults;
      throw std::runtime_error(fault);
    }
    std::vector<mlx::core::array> outputs;
    outputs.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      outputs.push_back(mlx_array_get_(arrays[i]));
    }
    mlx::core::async_eval(std::move(outputs));
    return 0;
  } catch (std::exception& e) {
    mlx_error("%s", e.what());
    return 1;
  }
}

extern "C" jax_mps_launch* jax_mps_launch_new(
    const mlx_array* arrays,
    size_t count,
    const mlx_stream* streams,
    size_t stream_count,
    uint64_t number,
    jax_mps_report report) {
  try {
    auto launch = std::make_unique<jax_mps_launch>();
    launch->ends = std::make_shared<Ends>();
    std::vector<mlx::core::Stream> ended;
    auto end = [&](mlx::core::Stream stream) {
      for (auto& other : ended) {
        if (other == stream) {
          return;
        }
      }
      ended.push_back(stream);
      end_on(launch->ends, stream, number, report);
    };
    for (size_t i = 0; i < stream_count; ++i) {
      end(mlx_stream_get_(streams[i]));
    }
#if defined(_METAL_)
    std::vector<std::pair<mlx::core::Stream, std::vector<mlx::core::Event>>> on_gpu;
#endif
    for (size_t i = 0; i < count; ++i) {
      auto& a = mlx_array_get_(arrays[i]);
      if (a.status() != mlx::core::array::Status::evaluated || !a.event().valid()) {
        continue;
      }
      const auto& event = a.event();
      if (event.stream().device == mlx::core::Device::cpu) {
        end(event.stream());
        continue;
      }
#if defined(_METAL_)
      auto known = std::find_if(
          on_gpu.begin(), on_gpu.end(), [&](auto& entry) { return entry.first == event.stream(); });
      if (known == on_gpu.end()) {
        known = on_gpu.insert(known, {event.stream(), {}});
      }
      known->second.push_back(event);
#else
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
#endif
    }
#if defined(_METAL_)
    for (auto& [stream, events] : on_gpu) {
      end_on_gpu(launch->ends, std::move(events), stream, number, report);
    }
#endif
    return launch.release();
  } catch (std::exception& e) {
    mlx_error("%s", e.what());
    return nullptr;
  }
}

extern "C" int jax_mps_launch_is_ready(const jax_mps_launch* launch, bool* ready) {
  try {
    *ready = launch->ends->all();
    for (auto& probe : launch->probes) {
      *ready = *ready && probe.is_available();
    }
    return 0;
  } catch (std::exception& e) {
    mlx_error("%s", e.what());
    return 1;
  }
}

extern "C" int jax_mps_launch_wait(jax_mps_launch* launch) {
  try {
    launch->ends->wait();
    for (auto& probe : launch->probes) {
      try {
        probe.wait();
      } catch (const std::exception&) {
        // CUDA repeats a thread's last error, such as a refused allocation, to whoever waits on that thread. An error of
        // the device itself would not let the event be signalled.
        if (!probe.is_available()) {
          throw;
        }
      }
    }
    return 0;
  } catch (std::exception& e) {
    mlx_error("%s", e.what());
    return 1;
  }
}

extern "C" void jax_mps_launch_free(jax_mps_launch* launch) {
  delete launch;
}

extern "C" bool jax_mps_become_main_thread(mlx_stream raw) {
  // MLX takes the thread that makes the scheduler for the main one. There, and only there, to give a stream a task is to be
  // told of an earlier task's error.
  bool is_main = false;
  try {
    auto stream = mlx_stream_get_(raw);
    auto run = [stream](bool fails) {
      auto ran = std::make_shared<std::promise<void>>();
      auto wait = ran->get_future();
      mlx::core::scheduler::enqueue(stream, [ran, fails]() {
        ran->set_value();
        if (fails) {
          throw std::runtime_error("which thread is the main one");
        }
      });
      wait.wait();
    };
    try {
      run(true);
      // The error is stored before this one runs, and may be told to this one or the next.
      run(false);
      run(false);
    } catch (const std::exception&) {
      is_main = true;
    }
    mlx::core::scheduler::check_error(stream);
  } catch (const std::exception&) {
    // Taken.
  }
  return is_main;
}

extern "C" void jax_mps_fail_evaluations(int count, const char* message) {
  faults = count;
  fault = message;
}
