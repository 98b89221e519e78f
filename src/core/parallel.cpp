#include "fslens/core/parallel.hpp"

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <algorithm>

namespace fslens {

void parallel_for(std::size_t count, const std::function<void(std::size_t)>& body) {
  if (count == 1) return body(0);
  tbb::parallel_for(
      tbb::blocked_range<std::size_t>(0, count, 1),
      [&](const tbb::blocked_range<std::size_t>& range) {
        for (std::size_t i = range.begin(); i != range.end(); ++i) body(i);
      },
      tbb::simple_partitioner{});
}

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
