// What the passes are timed on: one workload at a time, its states, and the rivals' copies of it.
#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fslens/prior/empirical_prior.hpp"
#include "reference.hpp"
#include "textbook.hpp"
#include "tmpd_direction.hpp"
#include "workload.hpp"

namespace fslens::benchmarks {

struct Shape {
  std::size_t dim = 0;
  std::size_t count = 0;
  bool operator==(const Shape&) const = default;
};

/// Several independent batches of states, so that a call does not see what the call before it saw.
inline constexpr std::size_t kBatches = 4;

/// States at one time.
struct States {
  double t = 0.0, a = 0.0, s2 = 0.0;
  std::array<Matrix, kBatches> x;
  std::array<std::vector<float>, kBatches> single;
};

/// What a call of C v is given at one time: directions N(0, I), and the prior's means in double precision.
struct Products {
  Matrix v;
  std::array<Matrix, kBatches> mean;
};

/// Makes what is asked for and keeps it until another shape is asked for: a million images fit once.
class Stage {
 public:
  explicit Stage(std::size_t particles) : particles_(particles) {}

  const Workload& workload(const Shape& shape);
  /// Exact draws of p_t from random atoms. For the shape that workload() was called with last, as are all below.
  const States& states(double t);
  const Products& products(double t);
  /// The definition at one row of the first batch: large sets take seconds for it, and every family of benchmarks asks.
  const Reference& reference(double t, std::size_t row);
  Textbook& textbook();
  const TmpdDirection& tmpd();
  const std::vector<float>& tmpd_features();
  std::shared_ptr<const EmpiricalPrior> prior();

  std::size_t particles() const { return particles_; }
  /// Single-precision memory that a rival needs for `shape`: atoms, and `arrays` of [B, N].
  double rival_bytes(const Shape& shape, double arrays) const;

 private:
  std::size_t particles_;
  std::optional<Shape> shape_;
  std::optional<Workload> workload_;
  std::map<double, States> states_;
  std::map<double, Products> products_;
  std::map<std::pair<double, std::size_t>, Reference> references_;
  std::unique_ptr<Textbook> textbook_;
  std::unique_ptr<TmpdDirection> tmpd_;
  std::vector<float> tmpd_features_;
  std::shared_ptr<const EmpiricalPrior> prior_;
};

}  // namespace fslens::benchmarks
