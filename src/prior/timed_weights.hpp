// The log-weights of a smoothed mixture at the times that were asked for last.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <vector>

#include "fslens/prior/smoothed_mixture.hpp"

namespace fslens {

/// Blocks of particles run apart, each at a time of its own, and every call of a step asks for the same: a few entries serve them.
struct SmoothedMixture::TimedWeights {
  struct Entry {
    double a = 0.0, s2 = 0.0;
    std::shared_ptr<const std::vector<double>> log_weights;
  };
  std::mutex mutex;
  std::array<Entry, 4> entries;
  std::size_t next = 0;
};

}  // namespace fslens
