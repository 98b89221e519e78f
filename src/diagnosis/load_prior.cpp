#include <fmt/format.h>

#include <cmath>
#include <type_traits>

#include "fslens/core/error.hpp"
#include "problem_builder.hpp"

namespace fslens {
namespace {

/// Removes `width` values at row i, in place: the array is never held twice.
template <class T>
void erase_row(std::vector<T>& values, std::size_t i, std::size_t width) {
  const auto first = values.begin() + static_cast<std::ptrdiff_t>(i * width);
  values.erase(first, first + static_cast<std::ptrdiff_t>(width));
}

/// Integers become float32 where that is exact (uint8); floating-point types stay what they are.
AtomTable::Values to_floating(NumericArray&& array, const std::optional<Interval>& scale, const std::optional<Interval>& range) {
  AtomTable::Values out;
  std::visit([&](auto& values) {
    using T = typename std::decay_t<decltype(values)>::value_type;
    if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double>) out = std::move(values);
    else if constexpr (std::is_same_v<T, std::uint8_t>) out = std::vector<float>(values.begin(), values.end());
    else out = std::move(array).to_double();
  }, array.values);
  if (!scale) return out;
  const Interval from = range.value_or(Interval{0.0, 255.0});
  std::visit([&](auto& values) {
    using T = typename std::decay_t<decltype(values)>::value_type;
    const double factor = (scale->high - scale->low) / (from.high - from.low);
    for (T& value : values) value = static_cast<T>(scale->low + factor * (static_cast<double>(value) - from.low));
  }, out);
  return out;
}

Matrix load_matrix(const ArrayRef& ref, const std::string& name) {
  NumericArray array = load(ref);
  require(array.shape.size() == 2, name, "shape " + shape_text(array.shape), "must be a matrix");
  const std::size_t rows = array.shape[0], cols = array.shape[1];
  return Matrix(rows, cols, std::move(array).to_double());
}

std::vector<int> load_labels(const ArrayRef& ref) {
  const std::vector<double> values = load_vector(ref);
  std::vector<int> labels;
  for (std::size_t i = 0; i < values.size(); ++i) {
    require(values[i] == std::round(values[i]) && std::abs(values[i]) < 1e9, fmt::format("labels[{}]", i),
            fmt::format("{}", values[i]), "must be an integer");
    labels.push_back(static_cast<int>(values[i]));
  }
  return labels;
}

}  // namespace

std::vector<double> LoadedAtoms::row(std::size_t i) const {
  return std::visit([&](const auto& v) {
    const auto first = v.begin() + static_cast<std::ptrdiff_t>(i * dim);
    return std::vector<double>(first, first + static_cast<std::ptrdiff_t>(dim));
  }, values);
}

void LoadedAtoms::erase(std::size_t i) {
  std::visit([&](auto& v) { erase_row(v, i, dim); }, values);
  if (!weights.empty()) erase_row(weights, i, 1);
  if (!labels.empty()) erase_row(labels, i, 1);
  --count;
}

LoadedAtoms load_atoms(const PriorSpec& prior, const ModesSpec& modes) {
  NumericArray array = load(*prior.atoms);
  require(array.shape.size() >= 2, "prior.atoms", "shape " + shape_text(array.shape), "must be (N, d) or (N, h, w[, channels])");
  LoadedAtoms atoms;
  atoms.count = array.shape[0];
  require(atoms.count > 0, "prior.atoms", "shape " + shape_text(array.shape), "must have at least one atom");
  atoms.dim = array.size() / atoms.count;
  require(atoms.dim > 0, "prior.atoms", "shape " + shape_text(array.shape), "must have at least one column");
  if (array.shape.size() >= 3) atoms.shape = {array.shape[1], array.shape[2], array.shape.size() > 3 ? array.shape[3] : 1};
  atoms.values = to_floating(std::move(array), prior.scale, prior.range);
  if (prior.weights) {
    atoms.weights = load_vector(*prior.weights);
    require_size("prior.weights", atoms.weights.size(), atoms.count, "one an atom");
  }
  const std::optional<ArrayRef>& labels = modes.labels ? modes.labels : prior.labels;
  if (labels) {
    atoms.labels = load_labels(*labels);
    require_size("labels", atoms.labels.size(), atoms.count, "one an atom");
  }
  return atoms;
}

std::shared_ptr<const GaussianMixture> build_mixture(const PriorSpec& prior) {
  if (prior.kind == "gaussian") {
    const std::vector<double> mean = load_vector(*prior.mean);
    std::vector<Matrix> covariance;
    covariance.push_back(load_matrix(*prior.cov, "prior.cov"));
    return std::make_shared<GaussianMixture>(Matrix(1, mean.size(), mean), std::move(covariance));
  }
  const Matrix means = load_matrix(*prior.means, "prior.means");
  const std::size_t d = means.cols();
  NumericArray array = load(*prior.covs);
  const auto shape = array.shape;
  require(shape.size() == 1 || shape.size() == 3, "prior.covs", "shape " + shape_text(shape), "must be (K,) or (K, d, d)");
  require(shape[0] == means.rows() && (shape.size() == 1 || (shape[1] == d && shape[2] == d)), "prior.covs",
          "shape " + shape_text(shape), fmt::format("must agree with means of shape ({}, {})", means.rows(), d));
  const std::vector<double> values = std::move(array).to_double();
  std::vector<Matrix> covariances;
  for (std::size_t k = 0; k < means.rows(); ++k) {
    Matrix& covariance = covariances.emplace_back(d, d);
    for (std::size_t i = 0; i < d; ++i)
      for (std::size_t j = 0; j < d; ++j)
        covariance(i, j) = shape.size() == 3 ? values[(k * d + i) * d + j] : (i == j ? values[k] : 0.0);
  }
  std::vector<double> weights;
  if (prior.weights) weights = load_vector(*prior.weights);
  return std::make_shared<GaussianMixture>(means, std::move(covariances), weights);
}

}  // namespace fslens
