// How long computations talk to their caller: progress out, interruption in. The library itself never prints.
#pragma once

#include <cstddef>
#include <string_view>

namespace fslens {

class Observer {
 public:
  virtual ~Observer() = default;
  /// `done` of `total` units of `stage` are finished. Called from the thread that runs the computation.
  virtual void progress(std::string_view stage, std::size_t done, std::size_t total) = 0;
  /// True when the caller wants the computation to stop: it then throws Interrupted at the next step.
  virtual bool interrupted() = 0;
};

/// Listens to nothing and never interrupts.
class SilentObserver final : public Observer {
 public:
  void progress(std::string_view, std::size_t, std::size_t) override {}
  bool interrupted() override { return false; }
};

}  // namespace fslens
