#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "commands.hpp"
#include "console.hpp"
#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "fslens/io/array.hpp"
#include "fslens/io/array_writer.hpp"
#include "fslens/io/problem_file.hpp"
#include "problem_source.hpp"

namespace fslens::app {
namespace {

struct EvalArguments {
  ProblemArguments problem;
  std::string at;
  std::vector<std::string> methods;
  std::string out;
  std::size_t threads = 0;
};

/// Points (x_b, t_b), as given.
struct Points {
  Matrix x;
  std::vector<double> t;
};

Points read_points(const std::string& path, const NoiseSchedule& schedule, std::size_t dim) {
  NumericArray x = read_array(path + ":x");
  if (x.shape.size() != 2 || x.shape[1] != dim)
    throw DataError(path, fmt::format("x has shape {}; expected (B, {}), the dimension of the prior", shape_text(x.shape), dim));
  const NumericArray t = read_array(path + ":t");
  if (t.shape != std::vector<std::size_t>{x.shape[0]})
    throw DataError(path, fmt::format("t has shape {}; expected ({},), one time a row of x", shape_text(t.shape), x.shape[0]));
  const std::size_t rows = x.shape[0];
  Points points{Matrix(rows, dim, std::move(x).to_double()), t.to_double()};
  try {
    require_finite("x", points.x.values());
    for (std::size_t b = 0; b < rows; ++b) schedule.require_time(fmt::format("t[{}]", b), points.t[b]);
  } catch (const InvalidArgument& error) {
    throw DataError(path, error.what());
  }
  return points;
}

/// Result arrays by name; a row is written wherever its point stands.
class FieldTable {
 public:
  explicit FieldTable(std::size_t rows) : rows_(rows) {}
  void put(const std::string& name, const std::vector<std::size_t>& rows, ConstBatchView values) {
    Matrix& column = matrices_.try_emplace(name, rows_, values.cols()).first->second;
    for (std::size_t j = 0; j < rows.size(); ++j) std::ranges::copy(values.row(j), column.row(rows[j]).begin());
  }
  void put(const std::string& name, const std::vector<std::size_t>& rows, const std::vector<double>& values) {
    std::vector<double>& column = vectors_.try_emplace(name, rows_).first->second;
    for (std::size_t j = 0; j < rows.size(); ++j) column[rows[j]] = values[j];
  }
  void write(NpzWriter& writer) const {
    for (const auto& [name, column] : vectors_) writer.add(name, {rows_}, std::span<const double>(column));
    for (const auto& [name, column] : matrices_) writer.add(name, {rows_, column.cols()}, column.values());
  }

 private:
  std::size_t rows_;
  std::map<std::string, std::vector<double>> vectors_;
  std::map<std::string, Matrix> matrices_;
};

/// "dps-zeta" → "dps_zeta"; pigdm by its r2: "pigdm_flat".
std::string method_key(const SamplerSpec& spec) {
  std::string key = spec.name == "lens-sde" ? "lens" : spec.name;
  if (key == "pigdm") key += "_" + resolved_parameters(spec).at("r2");
  std::ranges::replace(key, '-', '_');
  return key;
}

struct Method {
  std::string key;
  std::unique_ptr<Guidance> guidance;
};

std::vector<Method> make_methods(const std::vector<std::string>& names, const Problem& problem) {
  std::vector<Method> methods;
  for (const std::string& text : names) {
    const SamplerSpec spec = parse_sampler_spec(text);
    Method method{method_key(spec), make_guidance(spec, problem.lens->denoiser(Measure::posterior, problem.assignment))};
    for (const Method& other : methods)
      if (other.key == method.key) throw UsageError(fmt::format("--method {}: would write {} twice", text, method.key));
    if (method.key != "lens") methods.push_back(std::move(method));  // the lens's own fields are always written
  }
  return methods;
}

void put_lens(const LensFields& fields, const std::vector<std::size_t>& rows, FieldTable& table) {
  table.put("denoiser_mean", rows, fields.denoiser_mean);
  table.put("denoiser_variance", rows, fields.denoiser_variance);
  table.put("prior_score", rows, fields.prior_score);
  table.put("log_prior_density", rows, fields.log_prior_density);
  table.put("posterior_denoiser_mean", rows, fields.posterior_denoiser_mean);
  table.put("posterior_denoiser_variance", rows, fields.posterior_denoiser_variance);
  table.put("posterior_score_lens", rows, fields.posterior_score);
  table.put("likelihood_score_lens", rows, fields.likelihood_score);
  table.put("log_likelihood_lens", rows, fields.log_likelihood);
  table.put("log_posterior_density", rows, fields.log_posterior_density);
}

/// What is proven of the lens's fields; a lens without proofs has none, and then there is no array.
void put_errors(const LensFields& fields, const std::vector<std::size_t>& rows, FieldTable& table) {
  const std::pair<const char*, const std::vector<double>&> errors[] = {
      {"denoiser_mean_error", fields.denoiser_mean_error},
      {"denoiser_variance_error", fields.denoiser_variance_error},
      {"prior_score_error", fields.prior_score_error},
      {"log_prior_density_error", fields.log_prior_density_error},
      {"posterior_denoiser_mean_error", fields.posterior_denoiser_mean_error},
      {"posterior_denoiser_variance_error", fields.posterior_denoiser_variance_error},
      {"posterior_score_lens_error", fields.posterior_score_error},
      {"log_posterior_density_error", fields.log_posterior_density_error},
      {"likelihood_score_lens_error", fields.likelihood_score_error},
      {"log_likelihood_lens_error", fields.log_likelihood_error}};
  for (const auto& [name, error] : errors)
    if (!error.empty()) table.put(name, rows, error);
}

void evaluate_at(const Lens& lens, const Denoiser& denoiser, const std::vector<Method>& methods, const Matrix& x, double t,
                 const std::vector<std::size_t>& rows, FieldTable& table) {
  const LensFields fields = lens.fields(x, t);
  const double a = lens.schedule().a(t);
  table.put("alpha_bar", rows, std::vector<double>(rows.size(), a * a));
  put_lens(fields, rows, table);
  put_errors(fields, rows, table);
  for (const Method& method : methods) {
    Matrix score(x.rows(), x.cols());
    method.guidance->score(denoiser, lens.likelihood(), x, t, fields.denoiser_mean, score);
    table.put("likelihood_score_" + method.key, rows, score);
    if (const auto density = method.guidance->log_likelihood(denoiser, lens.likelihood(), x, t, fields.denoiser_mean))
      table.put("log_likelihood_" + method.key, rows, *density);
  }
}

using Batch = std::pair<double, std::vector<std::size_t>>;

/// Rows of one time each, in the order of t; not more of them than leaves a large set of atoms something to report between.
std::vector<Batch> batches_by_time(const std::vector<double>& t) {
  constexpr std::size_t kRowsPerBatch = 1024;
  std::map<double, std::vector<std::size_t>> rows_at;
  for (std::size_t b = 0; b < t.size(); ++b) rows_at[t[b]].push_back(b);
  std::vector<Batch> batches;
  for (const auto& [time, rows] : rows_at)
    for (std::size_t j = 0; j < rows.size(); ++j) {
      if (j % kRowsPerBatch == 0) batches.emplace_back(time, std::vector<std::size_t>{});
      batches.back().second.push_back(rows[j]);
    }
  return batches;
}

int run_eval(const EvalArguments& arguments) {
  const ThreadLimit limit(arguments.threads);
  const ResolvedProblem resolved = resolve_problem(arguments.problem);
  ConsoleObserver observer;
  const Problem problem = build_problem(resolved.spec, resolved.name, observer, CollapsedLens::keep);
  const auto lens = problem.lens;
  const auto denoiser = lens->denoiser(Measure::prior, problem.assignment);
  const std::vector<Method> methods = make_methods(arguments.methods, problem);
  const Points points = read_points(arguments.at, lens->schedule(), lens->dim());

  NpzWriter writer(arguments.out);
  FieldTable table(points.t.size());
  std::size_t done = 0;
  for (const auto& [t, rows] : batches_by_time(points.t)) {
    report_progress(observer, "fields", done, points.t.size());
    Matrix x(rows.size(), lens->dim());
    for (std::size_t j = 0; j < rows.size(); ++j) std::ranges::copy(points.x.row(rows[j]), x.row(j).begin());
    evaluate_at(*lens, *denoiser, methods, x, t, rows, table);
    done += rows.size();
  }
  report_progress(observer, "fields", done, points.t.size());
  table.write(writer);
  const auto weights = lens->log_weights(Measure::posterior);
  writer.add("log_posterior_weights", {weights.size()}, weights);
  writer.add_number("log_evidence", lens->log_evidence());
  writer.close();
  return kExitPass;
}

/// CLI11's check of --tolerance: empty, or what is wrong with it.
std::string require_tolerance(const std::string& text) {
  double value = 0.0;
  if (CLI::detail::lexical_cast(text, value) && value > 0.0 && value <= kLargestTolerance) return {};
  return fmt::format("{}: must be a number in (0, {}]", text, kLargestTolerance);
}

}  // namespace

Command add_eval(CLI::App& parent) {
  auto arguments = std::make_shared<EvalArguments>();
  CLI::App* command = parent.add_subcommand("eval", "Exact fields and likelihood scores at given points");
  command->add_option("problem", arguments->problem.problem, "problem file (.toml) or built-in problem")->required();
  command->add_option("--at", arguments->at, "points: .npz with x (B, d) and t (B,)")->required();
  command->add_option("--method", arguments->methods, "NAME[:key=value,...], e.g. pigdm:r2=flat; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--set", arguments->problem.overrides, "table.key=value")->allow_extra_args(false);
  command->add_option("--out", arguments->out, "fields: .npz")->required();
  command->add_option("--precision", arguments->problem.precision, "f64 (tolerance 1e-12) or f32 (1e-6); default: the problem's")
      ->check(CLI::IsMember({"f64", "f32"}));
  command->add_option("--tolerance", arguments->problem.tolerance,
                      "largest error of a denoised mean, relative to the noise: a |dm|/(s sqrt d), in (0, 0.1]; wins over --precision")
      ->check(require_tolerance);
  command->add_flag("--exact-scan", arguments->problem.exact_scan, kExactScanHelp);
  command->add_option("--threads", arguments->threads, "threads (default: all cores)")->check(CLI::NonNegativeNumber);
  return [arguments] { return run_eval(*arguments); };
}

}  // namespace fslens::app
