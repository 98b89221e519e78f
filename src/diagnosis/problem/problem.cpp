#include "fslens/diagnosis/problem.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "fslens/core/error.hpp"
#include "fslens/diagnosis/margins.hpp"
#include "fslens/diagnosis/simulated_problem.hpp"
#include "fslens/diagnosis/weight_schedule_file.hpp"
#include "fslens/lens/finite_sample_lens.hpp"
#include "fslens/lens/gaussian_mixture_lens.hpp"
#include "fslens/lens/smoothed_lens.hpp"
#include "problem_builder.hpp"

namespace fslens {
namespace {

std::vector<double> simulate(const ForwardOperator& forward, const GaussianNoise& noise, const std::vector<double>& x0,
                             std::uint64_t seed) {
  return simulated_measurement(forward, noise, x0, RandomStream(seed).child("measurement noise"), 0);
}

std::vector<double> given_measurement(const MeasurementSpec& spec, std::size_t m) {
  require(spec.y.has_value(), "measurement.y", "not given", "give y, from_atom or from_prior");
  std::vector<double> y = load(*spec.y).to_double();
  require_size("measurement.y", y.size(), m, "outputs of the operator");
  return y;
}

/// Index of an atom drawn from the prior's weights.
std::size_t draw_atom(const LoadedAtoms& atoms, std::uint64_t seed) {
  double left = RandomStream(seed).child("measured atom").uniform(0, 0);
  if (atoms.weights.empty()) return static_cast<std::size_t>(left * static_cast<double>(atoms.count()));
  double sum = 0.0;
  for (const double weight : atoms.weights) sum += weight;
  left *= sum;
  std::size_t i = 0;
  while (i + 1 < atoms.count() && left >= atoms.weights[i]) left -= atoms.weights[i++];
  return i;
}

/// The lens of smoothed atoms: in closed form, or over jittered copies where there is none.
std::shared_ptr<const Lens> smoothed_lens(const ProblemSpec& spec, const FiniteSampleLens& raw, LensSmoothing& smoothing,
                                          const AssignmentOptions& assignment) {
  const auto atoms = std::make_shared<const EmpiricalPrior>(raw.prior());
  const auto likelihood = std::make_shared<const Likelihood>(raw.likelihood());
  if (raw.likelihood().forward().is_affine())
    return std::make_shared<SmoothedLens>(atoms, smoothing.kernel, raw.schedule(), likelihood, assignment);
  smoothing.copies = spec.prior.copies;
  const auto copies = jittered(*atoms, smoothing.kernel, smoothing.copies, RandomStream(spec.run.seed).child("jittered atoms"));
  return std::make_shared<FiniteSampleLens>(copies, raw.schedule(), likelihood, assignment);
}

/// Smooths the lens where the problem asks for it, or where it has collapsed.
void smooth_lens(const ProblemSpec& spec, CollapsedLens collapsed, Problem& problem) {
  const auto& raw = static_cast<const FiniteSampleLens&>(*problem.lens);
  if (spec.prior.bandwidth) require_nonnegative("prior.bandwidth", *spec.prior.bandwidth);
  const bool asked = spec.prior.bandwidth_by_leave_one_out || spec.prior.bandwidth.value_or(0.0) > 0.0;
  // A smoothed lens keeps a number for each atom and measured direction: more than this is taken when asked for only.
  constexpr double kMostUnaskedBytes = 100.0 * 1024.0 * 1024.0;
  const std::size_t directions = spec.prior.kernel == "covariance" ? raw.dim() : std::min(raw.dim(), problem.likelihood->output_dim());
  const bool fits = static_cast<double>(raw.num_components()) * static_cast<double>(directions) * sizeof(double) <= kMostUnaskedBytes;
  const bool can = fits && raw.num_components() > 1 && raw.prior().atoms().radius() > 0.0;
  const bool automatic = !asked && !spec.prior.bandwidth && !spec.prior.complete && can && collapsed == CollapsedLens::smooth &&
                         raw.effective_sample_size() < resolve_margins(problem.margins).at("lens-resolution");
  if (!asked && !automatic) return;
  LensSmoothing smoothing;
  smoothing.kernel = smoothing_kernel(raw.prior(), parse_kernel_shape(spec.prior.kernel), asked ? spec.prior.bandwidth : std::nullopt);
  smoothing.automatic = automatic;
  smoothing.raw_ess = raw.effective_sample_size();
  smoothing.raw_log_evidence = raw.log_evidence();
  auto smoothed = smoothed_lens(spec, raw, smoothing, problem.assignment);
  if (automatic && smoothed->effective_sample_size() <= smoothing.raw_ess) return;
  problem.lens = std::move(smoothed);
  problem.smoothing = std::move(smoothing);
}

/// @return the labels of the atoms, if they have any
std::vector<int> build_atoms_lens(const ProblemSpec& spec, const NoiseSchedule& schedule, CollapsedLens collapsed, Problem& problem) {
  LoadedAtoms atoms = load_atoms(spec.prior, spec.modes);
  const ForwardOperatorPtr forward = build_operator(spec.forward_operator, atoms.dim, atoms.shape);
  const GaussianNoise noise = build_noise(spec.noise, forward->output_dim());
  std::vector<double> y;
  if (spec.measurement.from_atom || spec.measurement.from_prior) {
    const std::size_t measured =
        spec.measurement.from_atom ? *spec.measurement.from_atom : draw_atom(atoms, spec.measurement.noise_seed);
    require(measured < atoms.count(), "measurement.from_atom", fmt::format("{}", measured),
            fmt::format("must be below the number of atoms, {}", atoms.count()));
    y = simulate(*forward, noise, atoms.row(measured), spec.measurement.noise_seed);
    // A measured image that is among the atoms would be its own, all too certain, answer.
    if (!spec.prior.complete) {
      require(atoms.count() > 1, "prior.atoms", "1 atom", "the measured atom is left out: at least two are needed");
      atoms.leave_out(measured);
    }
  } else {
    y = given_measurement(spec.measurement, forward->output_dim());
  }
  problem.likelihood = std::make_shared<Likelihood>(forward, noise, std::move(y));
  const auto prior = std::make_shared<EmpiricalPrior>(AtomTable(std::move(atoms.data), atoms.dim), atoms.weights,
                                                      std::move(atoms.labels));
  problem.lens = std::make_shared<FiniteSampleLens>(prior, schedule, problem.likelihood, problem.assignment);
  smooth_lens(spec, collapsed, problem);
  return prior->labels();
}

/// Components are read where they lie: N × d doubles may be more than there is room for.
ModePartition modes_without_labels(const ProblemSpec& spec, const Problem& problem, const std::string& kind, Observer& observer) {
  const Lens& lens = *problem.lens;
  const ComponentReader component = [&](std::size_t i, std::span<double> out) { lens.copy_component(i, out); };
  if (kind == "mean-shift") {
    MeanShiftOptions options;
    options.t = spec.modes.t.value_or(options.t);
    // A fixed point is looked for to the last digit, whatever the samplers are given.
    return modes_by_mean_shift(*lens.denoiser(Measure::prior, AssignmentOptions{}), lens.num_components(), component, options, observer);
  }
  Matrix components(lens.num_components(), lens.dim());
  for (std::size_t i = 0; i < components.rows(); ++i) component(i, components.row(i));
  return modes_from_components(components);
}

ModePartition build_modes(const ProblemSpec& spec, const Problem& problem, const std::vector<int>& labels, Observer& observer) {
  // Atoms that are the whole prior are its modes while they are few enough to name.
  constexpr std::size_t kFewAtoms = 20;
  std::string kind = spec.modes.kind;
  if (kind == "auto") {
    if (!labels.empty()) kind = "labels";
    else if (spec.prior.kind != "atoms" || (spec.prior.complete && problem.lens->num_components() <= kFewAtoms)) kind = "atoms";
    else kind = "mean-shift";
  }
  if (kind != "labels") return modes_without_labels(spec, problem, kind, observer);
  require(!labels.empty(), "modes.kind", "labels", "needs labels in [prior] or [modes]");
  // Jittered atoms lie copy by copy.
  const std::size_t copies = problem.lens->num_components() / labels.size();
  std::vector<int> of_components;
  for (const int label : labels) of_components.insert(of_components.end(), copies, label);
  return modes_from_labels(of_components);
}

}  // namespace

std::shared_ptr<const Likelihood> build_mixture_likelihood(const ProblemSpec& spec, const GaussianMixture& mixture) {
  const ForwardOperatorPtr forward = build_operator(spec.forward_operator, mixture.dim(), {});
  const GaussianNoise noise = build_noise(spec.noise, forward->output_dim());
  require(!spec.measurement.from_atom, "measurement.from_atom", "given", "needs a prior of atoms; use from_prior");
  std::vector<double> y;
  if (spec.measurement.from_prior) {
    std::vector<std::size_t> component;
    const Matrix x0 = mixture.sample(1, RandomStream(spec.measurement.noise_seed).child("measured draw"), 0, component);
    y = simulate(*forward, noise, std::vector<double>(x0.row(0).begin(), x0.row(0).end()), spec.measurement.noise_seed);
  } else {
    y = given_measurement(spec.measurement, forward->output_dim());
  }
  return std::make_shared<Likelihood>(forward, noise, std::move(y));
}

NoiseSchedule build_schedule(const ScheduleSpec& spec) {
  if (spec.kind == "vp-linear") return NoiseSchedule::vp_linear({spec.beta_min, spec.beta_max});
  if (spec.kind == "vp-cosine") return NoiseSchedule::vp_cosine({spec.offset, spec.max_beta});
  if (spec.kind == "vp-discrete") return NoiseSchedule::vp_discrete({spec.betas ? load_vector(*spec.betas) : std::vector<double>{}});
  if (spec.kind == "ve") return NoiseSchedule::ve({spec.sigma_min, spec.sigma_max, spec.rho});
  if (spec.kind == "ou") return NoiseSchedule::ou({spec.sigma, spec.mean});
  if (spec.kind == "flow") return NoiseSchedule::flow();
  throw InvalidArgument(unknown_name_message("schedule kind", spec.kind, schedule_kinds()));
}

Problem build_problem(const ProblemSpec& spec, const std::string& name, Observer& observer, CollapsedLens collapsed) {
  Problem problem;
  problem.name = name;
  problem.title = spec.title;
  problem.prior_kind = spec.prior.kind;
  problem.margins = spec.margins;
  resolve_margins(problem.margins);  // names an unknown check now
  try {
    for (const SamplerEntry& entry : spec.samplers) {
      SamplerSpec named{entry.name, entry.parameters};
      resolved_parameters(named);
      problem.samplers.push_back(with_schedule_read(std::move(named)));
    }
  } catch (const UsageError& error) {
    throw InvalidArgument(fmt::format("[[sampler]] of {}: {}", name, error.what()));  // the file's fault, not the command line's
  }
  const NoiseSchedule schedule = build_schedule(spec.schedule);
  problem.grid_options = {spec.grid.steps, spec.grid.t_max, spec.grid.t_min, parse_grid_spacing(spec.grid.spacing)};
  problem.grid = make_time_grid(schedule, problem.grid_options);
  problem.integrator = parse_integrator(spec.grid.integrator);
  problem.eta = spec.grid.eta;
  problem.num_particles = spec.run.particles;
  problem.num_recorded = spec.run.record;
  problem.seed = spec.run.seed;
  problem.assignment = {spec.run.tolerance, spec.run.exact_scan};
  std::vector<int> labels;
  if (spec.prior.kind == "atoms") {
    labels = build_atoms_lens(spec, schedule, collapsed, problem);
  } else {
    const auto mixture = build_mixture(spec.prior);
    problem.likelihood = build_mixture_likelihood(spec, *mixture);
    problem.lens = std::make_shared<GaussianMixtureLens>(mixture, schedule, problem.likelihood);
  }
  problem.is_population = spec.prior.kind != "atoms" || spec.prior.complete;
  problem.modes = build_modes(spec, problem, labels, observer);
  return problem;
}

SamplerContext sampler_context(const Problem& problem) {
  return {problem.lens->denoiser(Measure::prior), problem.lens->denoiser(Measure::posterior), problem.likelihood, problem.integrator,
          problem.eta};
}

std::vector<std::size_t> recorded_indices(std::size_t grid_size, std::size_t count) {
  const std::size_t last = grid_size - 1;
  count = std::min(count, grid_size);
  std::set<std::size_t> indices = {0, last};
  for (std::size_t j = 1; j + 1 < count; ++j) indices.insert(j * last / (count - 1));
  for (std::size_t distance = 1; distance <= 32 && distance <= last; distance *= 2) indices.insert(last - distance);
  return {indices.begin(), indices.end()};
}

}  // namespace fslens
