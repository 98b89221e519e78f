// How much the variance of a finite number of exact draws varies, from the components of the posterior: also of those that no draw has shown.
#pragma once

#include <cstddef>
#include <vector>

#include "fslens/core/matrix.hpp"
#include "fslens/lens/lens.hpp"

namespace fslens {

/// The law of a variance over B exact draws, as a ratio to the exact one: mean 1.
struct VarianceLaw {
  double standard_error = 0.0;
  double skewness = 0.0;
};

/// Y = ‖x_t − E x_t‖² of an exact draw, in total and along directions. Given its component x_t is N(a m_i + b, c I), so that Y is c χ'²_d with
/// noncentrality a²‖m_i − E x_0‖²/c: the moments of Y follow from Σ ω_i ‖m_i − E x_0‖^2k, k ≤ 3. A mode of weight 1e-4 that B draws hardly ever
/// show is in them. The components' own covariance is taken for isotropic, with its trace. That deviations are taken from the draws' own mean is
/// in the moments to the next order in 1/B.
class SquaredDeviations {
 public:
  /// @param clean moments of x_0 under the posterior @shape directions [k, d], of length 1   @cost N d k
  SquaredDeviations(const Lens& lens, const Moments& clean, const Matrix& directions);

  VarianceLaw total(double a, double s2, std::size_t count) const;
  VarianceLaw along(std::size_t direction, double a, double s2, std::size_t count) const;

 private:
  struct Powers {
    double first = 0.0, second = 0.0, third = 0.0;  // of the squared distance
    void add(double weight, double square);
  };
  VarianceLaw law(const Powers& distance, double dim, double rho, double a, double s2, std::size_t count) const;

  std::size_t dim_;
  double variance_;  // of a coordinate, within a component
  double trace_ = 0.0, trace_of_square_ = 0.0;  // of Cov(x_0 | y), and of its square
  std::vector<Powers> moments_;  // in total, then by direction
};

}  // namespace fslens
