// How long computations talk to their caller: progress out, interruption in. The library itself never prints.
#pragma once

#include <cstddef>
#include <string_view>

#include "fslens/core/error.hpp"

namespace fslens {

class Observer {
 public:
  virtual ~Observer() = default;
  /// `done` of `total` units of `stage` are finished. Called by one thread at a time, not always the same.
  virtual void progress(std::string_view stage, std::size_t done, std::size_t total) = 0;
  /// True when the caller wants the computation to stop: it then throws Interrupted at the next step. May be asked by several threads at once.
  virtual bool interrupted() = 0;
};

/// Listens to nothing and never interrupts.
class SilentObserver final : public Observer {
 public:
  void progress(std::string_view, std::size_t, std::size_t) override {}
  bool interrupted() override { return false; }
};

/// Passes on that somebody wants to stop, and nothing of what is told: for runs that are parts of a stage, some of them side by side.
class InterruptsOnly final : public Observer {
 public:
  explicit InterruptsOnly(Observer& observer) : observer_(observer) {}
  void progress(std::string_view, std::size_t, std::size_t) override {}
  bool interrupted() override { return observer_.interrupted(); }

 private:
  Observer& observer_;
};

/// Tells how far a stage is. @throws Interrupted if there is more to do and the caller wants it to stop
inline void report_progress(Observer& observer, std::string_view stage, std::size_t done, std::size_t total) {
  observer.progress(stage, done, total);
  if (done < total && observer.interrupted()) throw Interrupted();
}

}  // namespace fslens
