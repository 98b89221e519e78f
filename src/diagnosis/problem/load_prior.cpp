#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "fslens/core/error.hpp"
#include "problem_builder.hpp"

namespace fslens {
namespace {

AtomType atom_type(StoredType type) {
  switch (type) {
    case StoredType::float64: return AtomType::float64;
    case StoredType::float32: return AtomType::float32;
    case StoredType::float16: return AtomType::float16;
    case StoredType::bfloat16: return AtomType::bfloat16;
    case StoredType::uint8: break;
  }
  return AtomType::uint8;
}

AtomData atom_data(StoredArray&& stored) {
  AtomData data;
  data.type = atom_type(stored.type);
  data.values = stored.values;
  data.owner = std::move(stored.owner);
  data.rows = stored.shape[0];
  return data;
}

double factor_of(const Interval& from, const Interval& to) { return (to.high - to.low) / (from.high - from.low); }

/// Changed in place, so that the array is never held twice. 16-bit numbers arrive here as float32, to which results are rounded.
StoredArray scaled(NumericArray array, const Interval& from, const Interval& to) {
  const double factor = factor_of(from, to);
  const std::vector<std::size_t> shape = array.shape;
  const auto apply = [&](auto values) {
    for (auto& value : values)
      value = static_cast<std::decay_t<decltype(value)>>(to.low + factor * (static_cast<double>(value) - from.low));
    return to_stored({shape, std::move(values), ""});
  };
  if (auto* floats = std::get_if<std::vector<float>>(&array.values)) return apply(std::move(*floats));
  return apply(std::move(array).to_double());
}

/// Whole numbers from 0 to 255, whatever their type (a CSV holds float64), as bytes: exact, and what the kernels like best.
bool are_bytes(const NumericArray& array) {
  return std::visit([](const auto& values) {
    return std::ranges::all_of(values, [](auto value) {
      const auto number = static_cast<double>(value);
      return number >= 0.0 && number <= 255.0 && number == std::floor(number);
    });
  }, array.values);
}

StoredArray as_bytes(NumericArray&& array) {
  std::vector<std::uint8_t> bytes;
  std::visit([&](const auto& values) {
    bytes.reserve(values.size());
    for (const auto value : values) bytes.push_back(static_cast<std::uint8_t>(value));
  }, array.values);
  return to_stored({array.shape, std::move(bytes), ""});
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
  AtomData one = data;
  one.values = static_cast<const std::byte*>(data.values) + i * dim * bytes_of(data.type);
  one.rows = 1;
  std::vector<double> values(dim);
  AtomTable(std::move(one), dim).copy_atom(0, values);
  return values;
}

void LoadedAtoms::leave_out(std::size_t i) {
  data.excluded = i;
  if (!weights.empty()) weights.erase(weights.begin() + static_cast<std::ptrdiff_t>(i));
  if (!labels.empty()) labels.erase(labels.begin() + static_cast<std::ptrdiff_t>(i));
}

LoadedAtoms load_atoms(const PriorSpec& prior, const ModesSpec& modes) {
  StoredArray stored = load_stored(*prior.atoms);
  const std::vector<std::size_t> shape = stored.shape;
  require(shape.size() >= 2, "prior.atoms", "shape " + shape_text(shape), "must be (N, d) or (N, h, w[, channels])");
  require(shape[0] > 0, "prior.atoms", "shape " + shape_text(shape), "must have at least one atom");
  LoadedAtoms atoms;
  atoms.dim = stored.size() / shape[0];
  require(atoms.dim > 0, "prior.atoms", "shape " + shape_text(shape), "must have at least one column");
  if (shape.size() >= 3) atoms.shape = {shape[1], shape[2], shape.size() > 3 ? shape[3] : 1};
  const Interval from = prior.range.value_or(Interval{0.0, 255.0});
  if (prior.scale && stored.type != StoredType::uint8) {
    stored = {};  // read again, in a form that can be changed, rather than held twice
    NumericArray array = load(*prior.atoms);
    stored = are_bytes(array) ? as_bytes(std::move(array)) : scaled(std::move(array), from, *prior.scale);
  }
  atoms.data = atom_data(std::move(stored));
  if (prior.scale && atoms.data.type == AtomType::uint8) {
    atoms.data.step = factor_of(from, *prior.scale);
    atoms.data.low = prior.scale->low - atoms.data.step * from.low;
  }
  if (prior.weights) {
    atoms.weights = load_vector(*prior.weights);
    require_size("prior.weights", atoms.weights.size(), atoms.count(), "one an atom");
  }
  const std::optional<ArrayRef>& labels = modes.labels ? modes.labels : prior.labels;
  if (labels) {
    atoms.labels = load_labels(*labels);
    require_size("labels", atoms.labels.size(), atoms.count(), "one an atom");
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
