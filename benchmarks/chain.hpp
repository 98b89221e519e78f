// A reverse chain that samples the posterior with its exact score: where a full pass is needed at every step.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fslens/core/matrix.hpp"
#include "fslens/kernels/soft_assignment.hpp"
#include "fslens/rng/stream.hpp"
#include "workload.hpp"

namespace fslens::benchmarks {

struct PassOptions {
  double tolerance = kSingleTolerance;
  bool exact_scan = false;
};

/// Euler–Maruyama with the score (a m̃ − x)/s² of the posterior. The prior's mean is computed beside it, as a diagnosis does.
class PosteriorChain {
 public:
  /// `workload` must outlive the chain. @shape x [B, d], states at the first time
  PosteriorChain(const Workload& workload, Matrix x, const RandomStream& stream, const PassOptions& options);

  const Matrix& x() const { return x_; }
  /// The full pass at the present state. Returns its seconds.
  double pass(double t);
  const SoftAssignmentRequest& request() const { return request_; }  ///< of the last pass
  const SoftAssignmentResult& result() const { return result_; }     ///< of the last pass
  /// One step from t to u with the posterior mean of the last pass, which must have been at t. Returns its seconds.
  double move(double t, double u, std::uint64_t step);

 private:
  const Workload& workload_;
  Matrix x_;
  RandomStream stream_;
  PassOptions options_;
  TrajectoryMemory memory_;
  SoftAssignmentRequest request_;
  SoftAssignmentResult result_;
};

}  // namespace fslens::benchmarks
