// The answers by the definition, in double precision, for a few rows: what everything that is timed is held against.
#pragma once

#include <array>
#include <cmath>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "fslens/core/matrix.hpp"
#include "fslens/kernels/soft_assignment.hpp"
#include "workload.hpp"

namespace fslens::benchmarks {

/// Prior and posterior weights of one state by direct differences, and weighted sums with them.
class Reference {
 public:
  /// @shape x [d]
  Reference(const Workload& workload, std::span<const double> x, double t);
  /// Σ w_i x_i. measure 0: prior, 1: posterior. @shape [d]
  std::vector<double> mean(std::size_t measure) const;
  /// C v under the prior. @shape mean, v, result [d]
  std::vector<double> covariance_product(std::span<const double> mean, std::span<const double> v) const;

 private:
  template <class Coefficient>
  std::vector<double> weighted_sum(std::size_t measure, const Coefficient& coefficient) const;

  const Workload& workload_;
  std::array<std::vector<double>, 2> weights_;
};

double distance(std::span<const double> u, std::span<const double> v);  ///< ‖u − v‖₂

/// The larger of two errors, where NaN is the largest: std::max would lose it.
inline double larger(double a, double b) { return std::isnan(a) || a > b ? a : b; }

/// What is checked of a result: `rows` particles at even distances.
std::vector<std::size_t> checked_rows(std::size_t particles, std::size_t rows);

/// Holds the means of a full pass (or of one measure) to the definition: ‖difference‖ ≤ mean_error + 1e-9 in the rows that are looked
/// at, and a·mean_error/(s√d) ≤ tolerance in all. Empty, or what is wrong.
///
/// `reference_of` gives a row's reference where it is at hand; without it they are computed.
using ReferenceOfRow = std::function<const Reference&(std::size_t)>;
std::string check_means(const Workload& workload, const SoftAssignmentRequest& request, double t, const SoftAssignmentResult& result,
                        std::size_t rows, const ReferenceOfRow& reference_of = {});

}  // namespace fslens::benchmarks
