// What A C Aᵀ is made of, atom by atom.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "fslens/core/matrix.hpp"
#include "fslens/kernels/soft_assignment.hpp"

namespace fslens {

/// φ_i = (1, p, upper triangle of p pᵀ), or its first part (1, p) alone; p = A (x_i − x̄): A C Aᵀ = E ppᵀ/E1 − (E p/E1)(E p/E1)ᵀ. All of it comes from the same
/// weights, so that their rounding cancels in the difference as it does in the weights' own sum.
class ProjectedMoments {
 public:
  enum class Order { first, second };

  /// `atoms` must outlive it. `keep`: all φ_i are stored, if they take little room.
  ProjectedMoments(const AtomTable& atoms, MatrixView<const double> projection, Order order, bool keep);
  ProjectedMoments(const ProjectedMoments&) = delete;
  ProjectedMoments& operator=(const ProjectedMoments&) = delete;

  const AtomFeatures& features() const { return features_; }
  const Matrix& projection() const { return projection_; }
  Order order() const { return order_; }

 private:
  void project(std::size_t first, std::size_t count, double* values) const;

  const AtomTable& atoms_;
  Matrix projection_;
  Order order_;
  std::vector<double> values_;  // [N][q], or nothing
  AtomFeatures features_;
};

/// out.row(b) ← A C Aᵀ from the means of ProjectedMoments. @shape moments [B, 1 + m + m (m + 1)/2], out [B, m·m]
void fill_projected_covariance(ConstBatchView moments, std::size_t m, BatchView out);

/// The moments of the last projection that was asked for, stored once it is asked for again: in a run it is the same at every step.
class KeptMoments {
 public:
  std::shared_ptr<const ProjectedMoments> of(const AtomTable& atoms, MatrixView<const double> projection,
                                             ProjectedMoments::Order order = ProjectedMoments::Order::second);

 private:
  std::mutex mutex_;
  std::shared_ptr<const ProjectedMoments> last_;
  bool kept_ = false;
};

}  // namespace fslens
