// The tables that say what the inverse problem is: [prior], [schedule], [operator].
#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "problem_tables.hpp"

namespace fslens::io {
namespace {

bool inside_unit_interval(double value) { return value > 0 && value < 1; }

void read_atoms(const ProblemSection& section, PriorSpec& prior) {
  section.require_key("atoms", "a prior of kind \"atoms\" needs them");
  section.read_table_columns("atoms", "columns", section.read_columns("columns"), prior.atoms);
  std::optional<std::uint64_t> labels_column;
  section.read_integer("labels_column", labels_column, 0);
  section.read_table_columns("labels", "labels_column",
                             labels_column ? std::optional(ColumnRange{*labels_column, *labels_column}) : std::nullopt,
                             prior.labels);
  section.read("scale", prior.scale);
  section.read("range", prior.range);
  section.check(!prior.range || prior.scale, "range", "has no meaning without scale");
  section.read("complete", prior.complete);
  section.read_word("kernel", prior.kernel, {"isotropic", "covariance"});
  section.read_integer("copies", prior.copies, 1);
  if (const TomlValue* bandwidth = section.find("bandwidth")) {
    if (const auto* word = bandwidth->as<std::string>()) {
      section.check(*word == "loo", "bandwidth", "must be a number >= 0 (0: never smoothed) or \"loo\"");
      prior.bandwidth_by_leave_one_out = true;
    } else {
      section.read("bandwidth", prior.bandwidth);
      section.check(*prior.bandwidth >= 0, "bandwidth", "must be a number >= 0 (0: never smoothed) or \"loo\"");
    }
  }
}

void check_weights(const ProblemSection& section, const std::optional<ArrayRef>& weights) {
  section.check_all(
      weights, "weights", [](double w) { return w >= 0; }, "must be >= 0");
  if (!weights || !weights->is_inline()) return;
  const auto& values = std::get<std::vector<double>>(weights->inline_values.values);
  section.check(std::accumulate(values.begin(), values.end(), 0.0) > 0, "weights", "must not all be 0");
}

void read_shape(const ProblemSection& section, std::vector<std::size_t>& shape) {
  const TomlValue* value = section.find("shape");
  if (value == nullptr) return;
  const auto* items = value->as<TomlValue::Array>();
  section.check(items != nullptr && (items->size() == 2 || items->size() == 3), "shape",
                "expected [h, w] or [h, w, c]");
  for (const TomlValue& item : *items) {
    const auto* extent = item.as<std::int64_t>();
    section.check(extent != nullptr && *extent >= 1, "shape", "must hold integers >= 1");
    shape.push_back(static_cast<std::size_t>(*extent));
  }
}

void read_composed(const ProblemSection& section, std::vector<OperatorSpec>& operators) {
  section.require_key("operators", "compose needs a list of operators [{kind = …}, …]");
  const auto* items = section.find("operators")->as<TomlValue::Array>();
  section.check(items != nullptr && !items->empty(), "operators",
                "expected a non-empty list of tables [{kind = …}, …]");
  for (std::size_t i = 0; i < items->size(); ++i)
    operators.push_back(read_operator(
        ProblemSection((*items)[i], fmt::format("{}[{}]", section.path_of("operators"), i), section.folder())));
}

/// What a kind cannot do without.
void require_operator_parameters(const ProblemSection& section, const OperatorSpec& spec) {
  if (spec.kind == "matrix") section.require_key("matrix", "an operator of kind \"matrix\" needs it");
  if (spec.kind == "mask" || spec.kind == "fourier-mask") section.require_one_of({"indices", "mask"});
  if (spec.kind == "blur" || spec.kind == "downsample" || spec.kind == "fourier-mask" || spec.kind == "radon")
    section.require_key("shape", "the image's [h, w] or [h, w, c]");
  if (spec.kind == "blur") {
    section.require_one_of({"kernel", "sigma"});
    section.check(!spec.kernel_y || spec.kernel, "kernel_y", "needs kernel, the horizontal factor");
    section.check(!spec.radius || spec.sigma, "radius", "belongs to a Gaussian blur given by sigma");
  }
  if (spec.kind == "downsample") section.require_key("factor", "an integer >= 1");
  if (spec.kind == "gaussian-cs") section.require_key("m", "the number of measurements");
  if (spec.kind == "clip") {
    section.require_key("lo", "the lower bound");
    section.require_key("hi", "the upper bound");
    section.check(*spec.lo < *spec.hi, section.to_blame("hi", "lo"),
                  fmt::format("lo must be < hi; they are {} and {}", *spec.lo, *spec.hi));
  }
}

}  // namespace

PriorSpec read_prior(const ProblemSection& section) {
  const TableSchema& schema = problem_table("prior");
  PriorSpec prior;
  prior.kind = section.kind(schema, prior.kind);
  section.require_known_keys(schema, prior.kind);
  section.read("weights", prior.weights);
  check_weights(section, prior.weights);
  if (prior.kind == "atoms") {
    read_atoms(section, prior);
  } else if (prior.kind == "gaussian") {
    section.require_key("mean", "a prior of kind \"gaussian\" needs it");
    section.require_key("cov", "a prior of kind \"gaussian\" needs it");
    section.read("mean", prior.mean);
    section.read("cov", prior.cov);
  } else {
    section.require_key("means", "a prior of kind \"gmm\" needs them");
    section.require_key("covs", "a prior of kind \"gmm\" needs them");
    section.read("means", prior.means);
    section.read("covs", prior.covs);
  }
  return prior;
}

ScheduleSpec read_schedule(const ProblemSection& section) {
  const TableSchema& schema = problem_table("schedule");
  ScheduleSpec schedule;
  schedule.kind = section.kind(schema, schedule.kind);
  section.require_known_keys(schema, schedule.kind);
  section.read("beta_min", schedule.beta_min);
  section.read("beta_max", schedule.beta_max);
  section.check(schedule.beta_min > 0, "beta_min", "must be > 0");
  section.check(schedule.beta_max >= schedule.beta_min, section.to_blame("beta_max", "beta_min"),
                fmt::format("beta_max must be >= beta_min; they are {} and {}", schedule.beta_max, schedule.beta_min));
  section.read("offset", schedule.offset);
  section.check(schedule.offset > 0, "offset", "must be > 0");
  section.read("max_beta", schedule.max_beta);
  section.check(inside_unit_interval(schedule.max_beta), "max_beta", "must lie in (0, 1)");
  section.read("betas", schedule.betas);
  section.check_all(schedule.betas, "betas", inside_unit_interval, "must lie in (0, 1)");
  section.read("sigma_min", schedule.sigma_min);
  section.read("sigma_max", schedule.sigma_max);
  section.check(schedule.sigma_min > 0, "sigma_min", "must be > 0");
  section.check(
      schedule.sigma_max > schedule.sigma_min, section.to_blame("sigma_max", "sigma_min"),
      fmt::format("sigma_max must be > sigma_min; they are {} and {}", schedule.sigma_max, schedule.sigma_min));
  section.read("rho", schedule.rho);
  section.check(schedule.rho >= 0, "rho", "must be >= 0");
  section.read("sigma", schedule.sigma);
  section.check(schedule.sigma > 0, "sigma", "must be > 0");
  section.read("mean", schedule.mean);
  return schedule;
}

OperatorSpec read_operator(const ProblemSection& section) {
  const TableSchema& schema = problem_table("operator");
  OperatorSpec spec;
  spec.kind = section.kind(schema, "");
  section.require_known_keys(schema, spec.kind);
  section.read("matrix", spec.matrix);
  section.read("bias", spec.bias);
  section.read("indices", spec.indices);
  section.check_all(
      spec.indices, "indices", [](double i) { return i >= 0 && i == std::floor(i); }, "must be an integer >= 0");
  section.read("mask", spec.mask);
  read_shape(section, spec.shape);
  section.read("kernel", spec.kernel);
  section.read("kernel_y", spec.kernel_y);
  section.read("sigma", spec.sigma);
  section.check(!spec.sigma || *spec.sigma > 0, "sigma", "must be > 0");
  section.read_integer("radius", spec.radius, 1);
  if (section.has("boundary")) section.read("boundary", spec.boundary.emplace());
  section.read_integer("factor", spec.factor, 1);
  section.read_integer("m", spec.m, 1);
  section.read_integer("seed", spec.seed, 0);
  section.read("angles", spec.angles);
  section.read("lo", spec.lo);
  section.read("hi", spec.hi);
  if (spec.kind == "compose") read_composed(section, spec.operators);
  require_operator_parameters(section, spec);
  return spec;
}

}  // namespace fslens::io
