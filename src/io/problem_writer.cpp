// ProblemSpec as TOML that reads back equal.
#include <fmt/format.h>

#include <charconv>

#include "fslens/io/problem_file.hpp"

namespace fslens {
namespace {

std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
          out += fmt::format("\\u{:04X}", static_cast<unsigned char>(c));
        else
          out += c;
    }
  }
  return out + '"';
}

std::string nested(std::span<const std::size_t> shape, const double*& next) {
  if (shape.empty()) return fmt::format("{}", *next++);
  std::string text = "[";
  for (std::size_t i = 0; i < shape[0]; ++i) text += (i == 0 ? "" : ", ") + nested(shape.subspan(1), next);
  return text + "]";
}

std::string array_text(const ArrayRef& ref) {
  if (!ref.is_inline()) return toml_string(ref.path);
  const double* next = std::get<std::vector<double>>(ref.inline_values.values).data();
  return nested(ref.inline_values.shape, next);
}

/// A key may need quotes (sampler parameters are anyone's).
std::string key_text(const std::string& key) {
  const bool bare =
      !key.empty() &&
      key.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == std::string::npos;
  return bare ? key : toml_string(key);
}

/// Numbers and flags without quotes where reading them gives this very text again.
std::string parameter_text(const std::string& text) {
  if (text == "true" || text == "false") return text;
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool canonical = error == std::errc{} && end == text.data() + text.size() && fmt::format("{}", number) == text;
  return canonical && text.find_first_not_of("0123456789+-.e") == std::string::npos ? text : toml_string(text);
}

/// Collects "key = value" pairs; a table prints them as lines, an inline table between braces.
class Pairs {
 public:
  void add(const std::string& key, std::string value) { pairs_.emplace_back(key_text(key) + " = " + std::move(value)); }
  void add_text(const std::string& key, const std::string& text) { add(key, toml_string(text)); }
  void add_number(const std::string& key, double value) { add(key, fmt::format("{}", value)); }
  void add_integer(const std::string& key, std::uint64_t value) { add(key, fmt::format("{}", value)); }
  void add_flag(const std::string& key, bool value) { add(key, value ? "true" : "false"); }
  void add_array(const std::string& key, const std::optional<ArrayRef>& array) {
    if (array) add(key, array_text(*array));
  }
  void add_number(const std::string& key, const std::optional<double>& value) {
    if (value) add_number(key, *value);
  }
  template <class Integer>
  void add_integer(const std::string& key, const std::optional<Integer>& value) {
    if (value) add_integer(key, std::uint64_t{*value});
  }
  void add_interval(const std::string& key, const std::optional<Interval>& interval) {
    if (interval) add(key, fmt::format("[{}, {}]", interval->low, interval->high));
  }
  std::string lines() const {
    std::string text;
    for (const std::string& pair : pairs_) text += pair + "\n";
    return text;
  }
  std::string braces() const {
    std::string text = "{";
    for (const std::string& pair : pairs_) text += (text.size() == 1 ? "" : ", ") + pair;
    return text + "}";
  }

 private:
  std::vector<std::string> pairs_;
};

void add_labels(Pairs& pairs, const std::optional<ArrayRef>& labels) {
  pairs.add_array("labels", labels);
  if (labels && labels->columns) pairs.add_integer("labels_column", std::uint64_t{labels->columns->first});
}

Pairs prior_pairs(const PriorSpec& prior) {
  Pairs pairs;
  pairs.add_text("kind", prior.kind);
  pairs.add_array("atoms", prior.atoms);
  if (prior.atoms && prior.atoms->columns)
    pairs.add("columns", fmt::format("[{}, {}]", prior.atoms->columns->first, prior.atoms->columns->last));
  pairs.add_array("mean", prior.mean);
  pairs.add_array("cov", prior.cov);
  pairs.add_array("means", prior.means);
  pairs.add_array("covs", prior.covs);
  pairs.add_array("weights", prior.weights);
  add_labels(pairs, prior.labels);
  pairs.add_interval("scale", prior.scale);
  pairs.add_interval("range", prior.range);
  if (prior.kind == "atoms") {
    pairs.add_flag("complete", prior.complete);
    if (prior.bandwidth_by_leave_one_out) pairs.add_text("bandwidth", "loo");
    pairs.add_number("bandwidth", prior.bandwidth);
    pairs.add_text("kernel", prior.kernel);
    pairs.add_number("copies", prior.copies);
  }
  return pairs;
}

Pairs schedule_pairs(const ScheduleSpec& schedule) {
  Pairs pairs;
  pairs.add_text("kind", schedule.kind);
  if (schedule.kind == "vp-linear") {
    pairs.add_number("beta_min", schedule.beta_min);
    pairs.add_number("beta_max", schedule.beta_max);
  } else if (schedule.kind == "vp-cosine") {
    pairs.add_number("offset", schedule.offset);
    pairs.add_number("max_beta", schedule.max_beta);
  } else if (schedule.kind == "vp-discrete") {
    pairs.add_array("betas", schedule.betas);
  } else if (schedule.kind == "ve") {
    pairs.add_number("sigma_min", schedule.sigma_min);
    pairs.add_number("sigma_max", schedule.sigma_max);
    pairs.add_number("rho", schedule.rho);
  } else if (schedule.kind == "ou") {
    pairs.add_number("sigma", schedule.sigma);
    pairs.add_number("mean", schedule.mean);
  }
  return pairs;
}

Pairs operator_pairs(const OperatorSpec& spec) {
  Pairs pairs;
  pairs.add_text("kind", spec.kind);
  pairs.add_array("matrix", spec.matrix);
  pairs.add_array("bias", spec.bias);
  pairs.add_array("indices", spec.indices);
  pairs.add_array("mask", spec.mask);
  if (!spec.shape.empty()) {
    std::string text;
    for (const std::size_t extent : spec.shape) text += fmt::format("{}{}", text.empty() ? "" : ", ", extent);
    pairs.add("shape", "[" + text + "]");
  }
  pairs.add_array("kernel", spec.kernel);
  pairs.add_array("kernel_y", spec.kernel_y);
  pairs.add_number("sigma", spec.sigma);
  pairs.add_integer("radius", spec.radius);
  if (spec.boundary) pairs.add_text("boundary", *spec.boundary);
  pairs.add_integer("factor", spec.factor);
  pairs.add_integer("m", spec.m);
  pairs.add_integer("seed", spec.seed);
  pairs.add_array("angles", spec.angles);
  pairs.add_number("lo", spec.lo);
  pairs.add_number("hi", spec.hi);
  if (!spec.operators.empty()) {
    std::string text;
    for (const OperatorSpec& part : spec.operators) text += (text.empty() ? "" : ", ") + operator_pairs(part).braces();
    pairs.add("operators", "[" + text + "]");
  }
  return pairs;
}

Pairs measurement_pairs(const MeasurementSpec& measurement) {
  Pairs pairs;
  pairs.add_array("y", measurement.y);
  pairs.add_integer("from_atom", measurement.from_atom);
  if (measurement.from_prior) pairs.add_flag("from_prior", true);
  pairs.add_integer("noise_seed", measurement.noise_seed);
  return pairs;
}

Pairs grid_pairs(const GridSpec& grid) {
  Pairs pairs;
  pairs.add_integer("steps", std::uint64_t{grid.steps});
  pairs.add_number("t_max", grid.t_max);
  pairs.add_number("t_min", grid.t_min);
  pairs.add_text("spacing", grid.spacing);
  pairs.add_text("integrator", grid.integrator);
  pairs.add_number("eta", grid.eta);
  return pairs;
}

}  // namespace

std::string to_toml(const ProblemSpec& problem) {
  Pairs top, noise, run, modes, margins;
  if (!problem.title.empty()) top.add_text("title", problem.title);
  if (!problem.description.empty()) top.add_text("description", problem.description);
  if (!problem.source.empty()) top.add_text("source", problem.source);
  if (!problem.answer.empty()) top.add_text("answer", problem.answer);
  noise.add_text("kind", problem.noise.kind);
  noise.add_number("sigma", problem.noise.sigma);
  noise.add_array("sigma", problem.noise.sigmas);
  noise.add_array("covariance", problem.noise.covariance);
  run.add_integer("particles", std::uint64_t{problem.run.particles});
  run.add_integer("seed", problem.run.seed);
  run.add_text("precision", problem.run.precision);
  run.add_number("tolerance", problem.run.tolerance);
  run.add_flag("exact_scan", problem.run.exact_scan);
  run.add_integer("record", std::uint64_t{problem.run.record});
  modes.add_text("kind", problem.modes.kind);
  add_labels(modes, problem.modes.labels);
  modes.add_number("t", problem.modes.t);
  for (const auto& [check, margin] : problem.margins) margins.add_number(check, margin);

  std::string text = top.lines();
  const auto table = [&](std::string_view name, const Pairs& pairs) {
    text += fmt::format("{}[{}]\n{}", text.empty() ? "" : "\n", name, pairs.lines());
  };
  table("prior", prior_pairs(problem.prior));
  table("schedule", schedule_pairs(problem.schedule));
  table("operator", operator_pairs(problem.forward_operator));
  table("noise", noise);
  table("measurement", measurement_pairs(problem.measurement));
  table("grid", grid_pairs(problem.grid));
  table("run", run);
  table("modes", modes);
  if (!problem.margins.empty()) table("margins", margins);
  for (const SamplerEntry& sampler : problem.samplers) {
    Pairs pairs;
    pairs.add_text("name", sampler.name);
    for (const auto& [key, value] : sampler.parameters) pairs.add(key, parameter_text(value));
    table("[sampler]", pairs);
  }
  return text;
}

}  // namespace fslens
