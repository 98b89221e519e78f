#include <fmt/format.h>

#include <cmath>

#include "fslens/core/error.hpp"
#include "fslens/operators/blur.hpp"
#include "fslens/operators/compose.hpp"
#include "fslens/operators/downsample.hpp"
#include "fslens/operators/elementwise.hpp"
#include "fslens/operators/gaussian_sensing.hpp"
#include "fslens/operators/identity.hpp"
#include "fslens/operators/mask.hpp"
#include "fslens/operators/matrix.hpp"
#include "problem_builder.hpp"

namespace fslens {
namespace {

ImageShape image_shape(const OperatorSpec& spec, std::size_t dim, const ImageShape& atoms) {
  ImageShape shape = atoms;
  if (!spec.shape.empty()) shape = {spec.shape[0], spec.shape[1], spec.shape.size() > 2 ? spec.shape[2] : 1};
  require(shape.height > 0, "operator.shape", "not given", fmt::format("'{}' acts on images: give shape = [height, width]", spec.kind));
  require(shape.size() == dim, "operator.shape", fmt::format("[{}, {}, {}]", shape.height, shape.width, shape.channels),
          fmt::format("must have as many values as the atoms, {}", dim));
  return shape;
}

ForwardOperatorPtr build_matrix(const OperatorSpec& spec, std::size_t dim) {
  require(spec.matrix.has_value(), "operator.matrix", "not given", "must be given for kind = \"matrix\"");
  NumericArray array = load(*spec.matrix);
  const auto shape = array.shape;
  require(shape.size() == 2 && shape[1] == dim, "operator.matrix", "shape " + shape_text(shape),
          fmt::format("must be (m, {}): its columns are the dimension of the atoms", dim));
  Matrix matrix(shape[0], shape[1], std::move(array).to_double());
  std::vector<double> bias;
  if (spec.bias) {
    bias = load_vector(*spec.bias);
    require_size("operator.bias", bias.size(), shape[0], "rows of the matrix");
  }
  return std::make_shared<MatrixOperator>(std::move(matrix), std::move(bias));
}

ForwardOperatorPtr build_mask(const OperatorSpec& spec, std::size_t dim, const ImageShape& atoms) {
  require(spec.indices.has_value() != spec.mask.has_value(), "operator.mask", spec.mask ? "given with indices" : "not given",
          "give either mask or indices");
  if (spec.indices) {
    std::vector<std::size_t> kept;
    for (const double index : load_vector(*spec.indices)) {
      require(index >= 0 && index == std::floor(index), "operator.indices", fmt::format("{}", index), "must be whole numbers >= 0");
      kept.push_back(static_cast<std::size_t>(index));
    }
    return std::make_shared<MaskOperator>(dim, std::move(kept));
  }
  const std::vector<double> mask = load(*spec.mask).to_double();
  const bool is_image = !spec.shape.empty() || atoms.height > 0;
  return std::make_shared<MaskOperator>(
      MaskOperator::from_image(is_image ? image_shape(spec, dim, atoms) : ImageShape{dim, 1, 1}, mask));
}

ForwardOperatorPtr build_blur(const OperatorSpec& spec, std::size_t dim, const ImageShape& atoms) {
  const ImageShape shape = image_shape(spec, dim, atoms);
  const std::string boundary = spec.boundary.value_or("reflecting");
  require(boundary == "periodic" || boundary == "reflecting", "operator.boundary", boundary, "must be periodic or reflecting");
  require(spec.kernel.has_value() != spec.sigma.has_value(), "operator.kernel", spec.kernel ? "given with sigma" : "not given",
          "give either kernel (and kernel_y) or sigma (and radius)");
  std::vector<double> horizontal, vertical;
  if (spec.sigma) {
    horizontal = gaussian_kernel(*spec.sigma, spec.radius.value_or(static_cast<std::size_t>(std::ceil(3.0 * *spec.sigma))));
    vertical = horizontal;
  } else {
    horizontal = load_vector(*spec.kernel);
    vertical = spec.kernel_y ? load_vector(*spec.kernel_y) : horizontal;
  }
  return std::make_shared<BlurOperator>(shape, vertical, horizontal,
                                        boundary == "periodic" ? Boundary::kPeriodic : Boundary::kReflecting);
}

ForwardOperatorPtr build_compose(const OperatorSpec& spec, std::size_t dim, const ImageShape& atoms) {
  require(!spec.operators.empty(), "operator.operators", "empty", "must list at least one operator");
  std::vector<ForwardOperatorPtr> parts;
  ImageShape shape = atoms;
  for (const OperatorSpec& part : spec.operators) {
    parts.push_back(build_operator(part, dim, shape));
    dim = parts.back()->output_dim();
    // What comes out of these is an image again; everything else is a vector unless its part says a shape.
    if (part.kind == "downsample") shape = std::static_pointer_cast<const DownsampleOperator>(parts.back())->output_shape();
    else if (part.kind == "matrix" || part.kind == "mask" || part.kind == "gaussian-cs") shape = {};
  }
  return std::make_shared<ComposeOperator>(std::move(parts));
}

}  // namespace

ForwardOperatorPtr build_operator(const OperatorSpec& spec, std::size_t dim, const ImageShape& shape) {
  if (spec.kind == "identity") return std::make_shared<IdentityOperator>(dim);
  if (spec.kind == "matrix") return build_matrix(spec, dim);
  if (spec.kind == "mask") return build_mask(spec, dim, shape);
  if (spec.kind == "blur") return build_blur(spec, dim, shape);
  if (spec.kind == "compose") return build_compose(spec, dim, shape);
  if (spec.kind == "square") return std::make_shared<SquareOperator>(dim);
  if (spec.kind == "abs") return std::make_shared<AbsOperator>(dim);
  if (spec.kind == "clip") {
    require(spec.lo && spec.hi, "operator.lo", "lo or hi not given", "clip needs both lo and hi");
    return std::make_shared<ClipOperator>(dim, *spec.lo, *spec.hi);
  }
  if (spec.kind == "downsample") {
    require(spec.factor.has_value(), "operator.factor", "not given", "must be given for kind = \"downsample\"");
    return std::make_shared<DownsampleOperator>(image_shape(spec, dim, shape), *spec.factor);
  }
  if (spec.kind == "gaussian-cs") {
    require(spec.m.has_value(), "operator.m", "not given", "must be given for kind = \"gaussian-cs\"");
    return std::make_shared<GaussianSensingOperator>(*spec.m, dim, spec.seed.value_or(0));
  }
  const std::vector<std::string> available = {"identity", "matrix", "mask",   "blur", "downsample",
                                              "gaussian-cs", "square", "abs", "clip", "compose"};
  throw InvalidArgument(unknown_name_message("operator kind (in this version)", spec.kind, available));
}

GaussianNoise build_noise(const NoiseSpec& spec, std::size_t m) {
  require(spec.kind == "gaussian", "noise.kind", spec.kind, "must be gaussian in this version");
  if (spec.sigma) return GaussianNoise::scalar(m, *spec.sigma);
  if (spec.sigmas) {
    std::vector<double> sigma = load_vector(*spec.sigmas);
    require_size("noise.sigma", sigma.size(), m, "measurements");
    return GaussianNoise::per_component(std::move(sigma));
  }
  require(spec.covariance.has_value(), "noise.sigma", "not given", "give sigma or covariance");
  NumericArray array = load(*spec.covariance);
  require(array.shape == std::vector<std::size_t>{m, m}, "noise.covariance", "shape " + shape_text(array.shape),
          fmt::format("must be ({}, {}), the measurements", m, m));
  return GaussianNoise::full(Matrix(m, m, std::move(array).to_double()));
}

}  // namespace fslens
