#include "fslens/core/parallel.hpp"

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <utility>

#if defined(__SANITIZE_THREAD__)
#include <exception>
#include <thread>
#include <vector>
#endif

namespace fslens {

#if defined(__SANITIZE_THREAD__)
// libtbb is not instrumented: ThreadSanitizer would miss that it hands tasks over and call every access a race. Under it
// the same bodies run on plain threads, a loop inside a body on its own. Nothing orders the bodies of different threads,
// and each thread has some, so that a race between them shows.
void parallel_for(std::size_t count, const std::function<void(std::size_t)>& body) {
  static thread_local bool inside = false;
  if (inside || count <= 1) {
    for (std::size_t i = 0; i < count; ++i) body(i);
    return;
  }
  const std::size_t num_threads = std::min<std::size_t>(count, 4);
  std::vector<std::exception_ptr> errors(num_threads);
  {
    std::vector<std::jthread> threads;
    for (std::size_t k = 0; k < num_threads; ++k)
      threads.emplace_back([&, k] {
        inside = true;
        try {
          for (std::size_t i = k; i < count; i += num_threads) body(i);
        } catch (...) {
          errors[k] = std::current_exception();
        }
      });
  }
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
}
#else
namespace {

thread_local bool inside_a_body = false;

/// Calls a body and remembers meanwhile that the thread is inside one.
void run_body(const std::function<void(std::size_t)>& body, std::size_t i) {
  struct Entered {
    bool before = std::exchange(inside_a_body, true);
    ~Entered() { inside_a_body = before; }
  } entered;
  body(i);
}

void run_loop(std::size_t count, const std::function<void(std::size_t)>& body) {
  tbb::parallel_for(
      tbb::blocked_range<std::size_t>(0, count, 1),
      [&](const tbb::blocked_range<std::size_t>& range) {
        for (std::size_t i = range.begin(); i != range.end(); ++i) run_body(body, i);
      },
      tbb::simple_partitioner{});
}

}  // namespace

// A thread that waits for the end of a loop takes up other tasks. Inside a body they must be tasks of that loop: with a body of an
// outer loop on top of it, the waiting one would go on only when that has ended, seconds later where bodies are runs of a sampler.
void parallel_for(std::size_t count, const std::function<void(std::size_t)>& body) {
  if (count == 1) return body(0);
  if (!inside_a_body) return run_loop(count, body);
  tbb::this_task_arena::isolate([&] { run_loop(count, body); });
}
#endif

void parallel_for_ranges(std::size_t count, std::size_t grain,
                         const std::function<void(std::size_t, std::size_t)>& body) {
  const std::size_t ranges = (count + grain - 1) / grain;
  parallel_for(ranges, [&](std::size_t r) { body(r * grain, std::min(count, (r + 1) * grain)); });
}

ThreadLimit::ThreadLimit(std::size_t threads) {
  if (threads > 0)
    control_ = new tbb::global_control(tbb::global_control::max_allowed_parallelism, threads);
}

ThreadLimit::~ThreadLimit() { delete static_cast<tbb::global_control*>(control_); }

}  // namespace fslens
