#include "error_budget.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "fslens/core/error.hpp"
#include "fslens/operators/matrix.hpp"

namespace fslens {
namespace {

/// The times of `grid` from `first` to `last`, both included.
std::vector<double> grid_between(const std::vector<double>& grid, double first, double last) {
  std::vector<double> times = {first};
  for (const double t : grid)
    if (t < first && t > last) times.push_back(t);
  if (last < first) times.push_back(last);
  return times;
}

/// The largest row that is certainly not zero.
std::string largest_row(const ErrorBudget& budget) {
  // A sampler that errs without a measurement errs with one, whatever it makes of the likelihood.
  constexpr double kShareOfDynamics = 0.25;
  const bool dynamics = budget.dynamics && budget.likelihood && budget.dynamics->low > 0.0 &&
                        budget.dynamics->value >= kShareOfDynamics * budget.likelihood->value;
  const std::pair<const char*, const std::optional<BudgetEntry>&> rows[] = {
      {"discretisation", budget.discretisation}, {"initialisation", budget.initialisation}, {"likelihood", budget.likelihood},
      {"prior", budget.prior},                   {"measurement", budget.measurement}};
  std::string name;
  double largest = 0.0;
  for (const auto& [row, entry] : rows)
    if (entry && entry->low > 0.0 && entry->value > largest) name = row, largest = entry->value;
  return name == "likelihood" && dynamics ? "dynamics" : name;
}

/// y = 1 of the operator 0: every likelihood score is 0, whatever the method divides by.
SamplerContext without_measurement(SamplerContext context) {
  const auto nothing = std::make_shared<MatrixOperator>(Matrix(1, context.likelihood->forward().input_dim()));
  context.likelihood = std::make_shared<Likelihood>(nothing, GaussianNoise::scalar(1, 1.0), std::vector<double>{1.0});
  context.posterior_denoiser = context.denoiser;
  return context;
}

}  // namespace

Contestant make_contestant(const Problem& problem, const SamplerSpec& spec, std::shared_ptr<const Denoiser> denoiser) {
  SamplerContext context = sampler_context(problem);
  Contestant out;
  out.name = spec.name;
  out.method = canonical_sampler_name(spec.name);
  out.options = resolved_parameters(spec, problem.integrator, problem.eta);
  // The published rules without an integrator of their own are steps of DDPM.
  out.integrator = out.options.contains("integrator") ? parse_integrator(out.options.at("integrator")) : Integrator::ancestral;
  out.eta = out.options.contains("eta") ? std::stod(out.options.at("eta")) : problem.eta;
  if (out.method == "exact") return out;
  out.unguided = make_sampler(spec, without_measurement(context));
  if (denoiser != nullptr) {
    out.on_exact_denoiser = make_sampler(spec, context);
    context.denoiser = std::move(denoiser);
  }
  out.sampler = make_sampler(spec, context);
  return out;
}

std::unique_ptr<PosteriorSampler> exact_score_sampler(const Problem& problem, Integrator integrator, double eta, Measure measure) {
  SamplerContext context = sampler_context(problem);
  context.posterior_denoiser = problem.lens->denoiser(measure);
  context.integrator = integrator;
  context.eta = eta;
  return make_sampler({"lens-sde", {}}, context);
}

std::size_t budget_particles(std::size_t num_particles, std::size_t dim) {
  return std::min<std::size_t>(num_particles, std::clamp<std::size_t>((std::size_t{1} << 13) / dim, 1024, 4096));
}

std::size_t sweep_particles(std::size_t num_particles, std::size_t dim) {
  return std::min<std::size_t>(num_particles, std::clamp<std::size_t>((std::size_t{1} << 11) / dim, 256, 2048));
}

std::size_t dynamics_particles(std::size_t num_particles, std::size_t dim) {
  return std::min<std::size_t>(num_particles, std::clamp<std::size_t>((std::size_t{1} << 13) / dim, 512, 4096));
}

BudgetMaker::BudgetMaker(const Problem& problem, const ExactReference& reference, const MeasurementFit& fit,
                         const std::optional<FiniteSampleError>& finite, const RandomStream& stream, Observer& observer)
    : problem_(problem), reference_(reference), stream_(stream.child("error budget")), observer_(observer), quiet_(observer),
      particles_(budget_particles(reference.num_particles(), reference.lens().dim())), distance_(reference, particles_, stream_) {
  common_.monte_carlo = distance_.floor();
  if (finite) common_.finite_n = BudgetEntry{finite->sliced_w2.value, finite->sliced_w2.low, finite->sliced_w2.high};
  else common_.absent["finite_n"] = "the prior is known completely";
  set_measurement_row(fit);
}

void BudgetMaker::set_measurement_row(const MeasurementFit& fit) {
  // The posterior moves by this much if the noise has the level that y asks for, less what the finite sample makes y ask for anyway.
  const double kappa = std::exp(fit.log_scale - fit.null_median);
  const Likelihood& given = *problem_.likelihood;
  const auto refitted = std::make_shared<Likelihood>(given.forward_ptr(), given.noise().scaled(kappa), given.y());
  const double t = reference_.times().back();
  std::shared_ptr<const Lens> lens;
  try {
    lens = problem_.lens->remeasured(refitted);
  } catch (const InvalidArgument&) {
    common_.absent["measurement"] = fmt::format("no posterior is left under {:.3g} times the noise", kappa);
    return;
  }
  common_.measurement = distance_.between(lens->sample(Measure::posterior, particles_, t, stream_.child("refitted")).x,
                               exact_draws(particles_, t, stream_.child("as given")));
  // What is within the null is no error of the problem: it may be none.
  if (common_.measurement && fit.log_scale >= fit.null_low && fit.log_scale <= fit.null_high) common_.measurement->low = 0.0;
}

Matrix BudgetMaker::exact_draws(std::size_t count, double t, const RandomStream& stream) const {
  return problem_.lens->sample(Measure::posterior, count, t, stream).x;
}

Matrix BudgetMaker::start_of(const Contestant& contestant, std::size_t count, const RandomStream& stream) const {
  return contestant.start ? contestant.start(count, stream) : noise(count, stream);
}

Matrix BudgetMaker::noise(std::size_t count, const RandomStream& stream) const {
  return initial_states(problem_.lens->schedule(), problem_.grid.front(), count, problem_.lens->dim(), stream);
}

Matrix BudgetMaker::run(const PosteriorSampler& sampler, Matrix start, double from, const RandomStream& stream) {
  const std::vector<double> times = grid_between(problem_.grid, from, reference_.times().back());
  if (times.size() == 1) return start;
  return run_sampler(sampler, times, std::move(start), stream, quiet_).x;
}

const PosteriorSampler& BudgetMaker::exact_score(Integrator integrator, double eta) {
  auto& sampler = exact_scores_[{integrator, eta}];
  if (sampler == nullptr) sampler = exact_score_sampler(problem_, integrator, eta);
  return *sampler;
}

const Matrix& BudgetMaker::exact_score_from_exact(Integrator integrator, double eta) {
  const auto [entry, fresh] = from_exact_.try_emplace({integrator, eta});
  const double first = reference_.times().front();
  if (fresh)
    entry->second = run(exact_score(integrator, eta), exact_draws(particles_, first, stream_.child("exact start")), first,
                        stream_.child("exact score from exact start"));
  return entry->second;
}

const Matrix& BudgetMaker::exact_score_from_noise(Integrator integrator, double eta) {
  const auto [entry, fresh] = from_noise_.try_emplace({integrator, eta});
  if (fresh) {
    const double first = problem_.grid.front();
    const RandomStream stream = stream_.child("exact score from noise");
    entry->second = run(exact_score(integrator, eta), noise(particles_, stream.child("start")), first, stream);
  }
  return entry->second;
}

RandomStream BudgetMaker::unguided_stream() const { return stream_.child("without a measurement"); }

const Matrix& BudgetMaker::prior_score_from_noise(Integrator integrator, double eta, std::size_t count) {
  const auto [entry, fresh] = prior_from_noise_.try_emplace({integrator, eta});
  if (fresh) {
    const RandomStream stream = unguided_stream();
    entry->second = run(*exact_score_sampler(problem_, integrator, eta, Measure::prior), noise(count, stream.child("start")),
                        problem_.grid.front(), stream);
  }
  return entry->second;
}

std::optional<BudgetEntry> BudgetMaker::dynamics_row(const Contestant& contestant) {
  const std::size_t count = dynamics_particles(reference_.num_particles(), reference_.lens().dim());
  const RandomStream stream = unguided_stream();
  const Matrix unguided = run(*contestant.unguided, noise(count, stream.child("start")), problem_.grid.front(), stream);
  return distance_.between_coupled(unguided, prior_score_from_noise(contestant.integrator, contestant.eta, count));
}

ErrorBudget BudgetMaker::of_exact(ConstBatchView final) {
  ErrorBudget out = common_;
  out.total = distance_.to_exact(first_rows(final, particles_));
  for (const char* row : {"discretisation", "initialisation", "likelihood", "dynamics", "prior"}) out.absent[row] = "exact draws make no such error";
  out.largest = largest_row(out);
  return out;
}

ErrorBudget BudgetMaker::of_contestant(const Contestant& contestant, ConstBatchView final) {
  const std::string stage = "error budget of " + contestant.name;
  report_progress(observer_, stage, 0, 1);
  ErrorBudget out = common_;
  const Matrix some = first_rows(final, particles_);
  const double first = problem_.grid.front();
  const Matrix& ideal = exact_score_from_exact(contestant.integrator, contestant.eta);
  const RandomStream stream = stream_.child(contestant.name);
  const Matrix exact_score_run =
      contestant.start ? run(exact_score(contestant.integrator, contestant.eta), contestant.start(particles_, stream.child("start")), first,
                             stream.child("exact score"))
                       : exact_score_from_noise(contestant.integrator, contestant.eta);
  out.total = distance_.to_exact(some);
  out.discretisation = distance_.to_exact(ideal);
  out.initialisation = distance_.between(exact_score_run, ideal);
  if (contestant.on_exact_denoiser == nullptr) {
    out.likelihood = distance_.between(some, exact_score_run);
    out.absent["prior"] = "the sampler ran on the exact denoiser";
  } else {
    const Matrix on_exact = run(*contestant.on_exact_denoiser, start_of(contestant, particles_, stream.child("start on exact")), first,
                                stream.child("on the exact denoiser"));
    out.likelihood = distance_.between(on_exact, exact_score_run);
    out.prior = distance_.between(some, on_exact);
  }
  if (contestant.unguided == nullptr) out.absent["dynamics"] = "it is not known how to run this sampler without a measurement";
  else if (out.likelihood && out.likelihood->low <= 0.0) out.absent["dynamics"] = "nothing is seen that is not the exact score's";
  else if (!(out.dynamics = dynamics_row(contestant))) out.absent["dynamics"] = "too few finite samples";
  if (!out.total) out.absent["total"] = "too few finite samples";
  if (!out.likelihood) out.absent["likelihood"] = "too few finite samples";
  out.largest = largest_row(out);
  report_progress(observer_, stage, 1, 1);
  return out;
}

ErrorBudget BudgetMaker::of_recording(const Recording& recording) {
  ErrorBudget out = common_;
  const std::size_t last = recording.times().size() - 1;
  out.total = distance_.to_exact(first_rows(recording.states(last), particles_));
  out.absent["discretisation"] = "a recording does not tell the grid and the integrator that made it";
  out.absent["prior"] = "a recording does not tell the denoiser that made it: part of likelihood";
  out.absent["dynamics"] = "a recording cannot be run without its measurement: part of likelihood";
  if (last == 0) {
    for (const char* row : {"initialisation", "likelihood"}) out.absent[row] = "needs states at earlier times";
  } else {
    const Integrator integrator = problem_.integrator;
    const Matrix continued = run(exact_score(integrator, problem_.eta), first_rows(recording.states(0), particles_),
                                 recording.times().front(), stream_.child("from " + recording.name()));
    out.initialisation = distance_.between(continued, exact_score_from_exact(integrator, problem_.eta));
    out.likelihood = distance_.between(first_rows(recording.states(last), particles_), continued);
  }
  out.largest = largest_row(out);
  return out;
}

}  // namespace fslens
