// Deterministic parallel loops: the work is cut by the problem, never by the number of threads.
#pragma once

#include <cstddef>
#include <functional>

namespace fslens {

/// Calls body(i) once for every i in [0, count), in any order and on any thread. Bodies must write to disjoint places,
/// so that the result has the same bits for every number of threads. The first exception thrown is rethrown.
void parallel_for(std::size_t count, const std::function<void(std::size_t)>& body);

/// Calls body(first, last) on consecutive ranges of at most `grain` items.
void parallel_for_ranges(std::size_t count, std::size_t grain,
                         const std::function<void(std::size_t, std::size_t)>& body);

/// Limits the threads of every parallel loop while it lives; 0 means as many as there are cores.
class ThreadLimit {
 public:
  explicit ThreadLimit(std::size_t threads);
  ~ThreadLimit();
  ThreadLimit(const ThreadLimit&) = delete;
  ThreadLimit& operator=(const ThreadLimit&) = delete;

 private:
  void* control_ = nullptr;
};

}  // namespace fslens
