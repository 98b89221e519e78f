// The tables that say what was measured and how samplers are run, and the document as a whole.
#include <fmt/format.h>

#include <algorithm>

#include "fslens/core/error.hpp"
#include "problem_tables.hpp"

namespace fslens::io {
namespace {

NoiseSpec read_noise(const ProblemSection& section) {
  const TableSchema& schema = problem_table("noise");
  NoiseSpec noise;
  section.read("kind", noise.kind);
  for (const char* later : {"poisson", "laplace", "student-t"})
    section.check(noise.kind != later, "kind", "this noise is not available; the only one is \"gaussian\"");
  noise.kind = section.kind(schema, noise.kind);
  section.require_known_keys(schema, noise.kind);
  section.require_one_of({"sigma", "covariance"});
  if (const TomlValue* sigma = section.find("sigma")) {
    if (sigma->as<std::string>() != nullptr || sigma->as<TomlValue::Array>() != nullptr) {
      section.read("sigma", noise.sigmas);
      section.check_all(
          noise.sigmas, "sigma", [](double value) { return value > 0; }, "must be > 0");
    } else {
      section.read("sigma", noise.sigma);
      section.check(*noise.sigma > 0, "sigma", "must be > 0");
    }
  }
  section.read("covariance", noise.covariance);
  if (noise.covariance && noise.covariance->is_inline()) {
    const auto& shape = noise.covariance->inline_values.shape;
    section.check(shape.size() == 2 && shape[0] == shape[1], "covariance", "must be a square matrix (m, m)");
  }
  return noise;
}

MeasurementSpec read_measurement(const ProblemSection& section) {
  section.require_known_keys(problem_table("measurement"));
  section.require_one_of({"y", "from_atom", "from_prior"});
  MeasurementSpec measurement;
  section.read("y", measurement.y);
  section.read_integer("from_atom", measurement.from_atom, 0);
  section.read("from_prior", measurement.from_prior);
  section.check(!section.has("from_prior") || measurement.from_prior, "from_prior", "must be true where it is given");
  section.read_integer("noise_seed", measurement.noise_seed, 0);
  return measurement;
}

GridSpec read_grid(const ProblemSection& section) {
  section.require_known_keys(problem_table("grid"));
  GridSpec grid;
  section.read_integer("steps", grid.steps, 1);
  section.read("t_max", grid.t_max);
  section.read("t_min", grid.t_min);
  section.check(grid.t_min > 0, "t_min", "must be > 0");
  section.check(grid.t_min < grid.t_max, section.to_blame("t_min", "t_max"),
                fmt::format("t_min must be < t_max; they are {} and {}", grid.t_min, grid.t_max));
  section.read_word("spacing", grid.spacing, {"uniform", "log-snr", "quadratic", "karras"});
  section.read_word("integrator", grid.integrator, {"euler-maruyama", "ancestral", "ddim", "heun", "exponential"});
  section.read("eta", grid.eta);
  section.check(grid.eta >= 0 && grid.eta <= 1, "eta", "must lie in [0, 1]");
  return grid;
}

RunSpec read_run(const ProblemSection& section) {
  section.require_known_keys(problem_table("run"));
  RunSpec run;
  section.read_integer("particles", run.particles, 1);
  section.read_integer("seed", run.seed, 0);
  section.read_word("precision", run.precision, {"f64", "f32"});
  run.tolerance = tolerance_of_precision(run.precision);
  section.read("tolerance", run.tolerance);
  section.check(run.tolerance > 0 && run.tolerance <= kLargestTolerance, "tolerance", fmt::format("must lie in (0, {}]", kLargestTolerance));
  section.read("exact_scan", run.exact_scan);
  section.read_integer("record", run.record, 1);
  return run;
}

ModesSpec read_modes(const ProblemSection& section) {
  section.require_known_keys(problem_table("modes"));
  ModesSpec modes;
  section.read_word("kind", modes.kind, {"auto", "labels", "atoms", "mean-shift"});
  std::optional<std::uint64_t> column;
  section.read_integer("labels_column", column, 0);
  section.read_table_columns("labels", "labels_column",
                             column ? std::optional(ColumnRange{*column, *column}) : std::nullopt, modes.labels);
  if (modes.labels) {
    section.check(!section.has("kind") || modes.kind == "labels", "kind", "contradicts labels, which are given too");
    modes.kind = "labels";
  }
  section.read("t", modes.t);
  section.check(!modes.t || *modes.t > 0, "t", "must be > 0");
  return modes;
}

std::map<std::string, double> read_margins(const ProblemSection& section) {
  const TableSchema& schema = problem_table("margins");
  section.require_known_keys(schema);
  std::map<std::string, double> margins;
  for (const std::string& check : schema.kinds.front().keys) {
    if (!section.has(check)) continue;
    section.read(check, margins[check]);
    section.check(margins[check] >= 0, check, "must be >= 0");
  }
  return margins;
}

/// One spelling a value, so that equal options compare equal: 1.0 and 1 are "1".
std::string parameter_text(const TomlValue& value, const std::string& path) {
  if (const auto* text = value.as<std::string>()) return *text;
  if (const auto* flag = value.as<bool>()) return *flag ? "true" : "false";
  if (const auto* integer = value.as<std::int64_t>()) return fmt::format("{}", *integer);
  if (const auto* number = value.as<double>()) return fmt::format("{}", *number);
  fail_at(value.origin, fmt::format("{} = {}: expected a string, a number, true or false", path, value.shown()));
}

std::vector<SamplerEntry> read_samplers(const TomlValue& value, const std::string& folder) {
  const auto* items = value.as<TomlValue::Array>();
  if (items == nullptr) fail_at(value.origin, "sampler: expected an array of tables, written [[sampler]]");
  std::vector<SamplerEntry> samplers;
  for (std::size_t i = 0; i < items->size(); ++i) {
    const ProblemSection section((*items)[i], fmt::format("sampler[{}]", i), folder);
    SamplerEntry sampler;
    section.require_key("name", "which sampler?");
    section.read("name", sampler.name);
    section.check(!sampler.name.empty(), "name", "must not be empty");
    for (const auto& [key, item] : *(*items)[i].as<TomlValue::Table>())
      if (key != "name") sampler.parameters[key] = parameter_text(item, section.path_of(key));
    if (section.has("schedule")) section.read_file_name("schedule", sampler.parameters["schedule"]);
    samplers.push_back(std::move(sampler));
  }
  return samplers;
}

void require_known_top_level(const TomlValue::Table& top) {
  const auto known = top_level_keys();
  for (const auto& [key, value] : top) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const bool is_table = value.as<TomlValue::Table>() != nullptr || value.as<TomlValue::Array>() != nullptr;
    fail_at(value.origin, unknown_name_message(is_table ? "table" : "key", key, known));
  }
}

}  // namespace

ProblemSpec read_problem(const TomlValue& document, const std::string& folder) {
  const auto& top = std::get<TomlValue::Table>(document.data);
  require_known_top_level(top);
  const TomlValue empty{TomlValue::Table{}, document.origin};
  const auto section = [&](const char* name, bool required) {
    const TomlValue* value = find(top, name);
    if (value == nullptr && required)
      throw DataError(*document.origin.source, fmt::format("the table [{}] is missing", name));
    return ProblemSection(value != nullptr ? *value : empty, name, folder);
  };
  ProblemSpec problem;
  const std::pair<const char*, std::string*> texts[] = {{"title", &problem.title},
                                                        {"description", &problem.description},
                                                        {"source", &problem.source},
                                                        {"answer", &problem.answer}};
  for (const auto& [key, target] : texts) {
    const TomlValue* value = find(top, key);
    if (value == nullptr) continue;
    if (value->as<std::string>() == nullptr)
      fail_at(value->origin, fmt::format("{} = {}: expected a string", key, value->shown()));
    *target = *value->as<std::string>();
  }
  problem.prior = read_prior(section("prior", true));
  problem.schedule = read_schedule(section("schedule", false));
  problem.forward_operator = read_operator(section("operator", true));
  problem.noise = read_noise(section("noise", true));
  problem.measurement = read_measurement(section("measurement", true));
  problem.grid = read_grid(section("grid", false));
  problem.run = read_run(section("run", false));
  problem.modes = read_modes(section("modes", false));
  problem.margins = read_margins(section("margins", false));
  if (const TomlValue* samplers = find(top, "sampler")) problem.samplers = read_samplers(*samplers, folder);
  return problem;
}

}  // namespace fslens::io
