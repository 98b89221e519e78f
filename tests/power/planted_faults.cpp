#include "power/planted_faults.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "diagnosis/problems.hpp"
#include "fslens/lens/gaussian_mixture_lens.hpp"
#include "power/faulty_samplers.hpp"
#include "power/trials.hpp"

namespace fslens::test {
namespace {

using Overrides = std::vector<std::string>;

constexpr std::size_t kRunsPerTrial = 25;

const Overrides kStrict = {"margins.distance=0.05", "margins.spread=0.1", "margins.mode-weights=0.01"};
const Overrides kChain = {"grid.steps=100", "grid.spacing=log-snr", "grid.integrator=exponential", "grid.t_min=0.02", "run.particles=4096"};

/// A mixture on the line, of which the measurement says little.
constexpr std::string_view kThreeModes = R"(
[prior]
kind = "gmm"
means = [[-2.0], [0.0], [2.5]]
covs = [0.05, 0.05, 0.05]
weights = [0.3, 0.5, 0.2]
[operator]
kind = "identity"
[noise]
sigma = 2.0
[measurement]
y = [0.0]
)";

/// Two unknowns behind a matrix that is not its own transpose.
constexpr std::string_view kSheared = R"(
[prior]
kind = "gaussian"
mean = [0.5, -0.5]
cov = [[1.0, 0.3], [0.3, 0.6]]
[operator]
kind = "matrix"
matrix = [[1.0, 0.8], [0.0, 0.7]]
bias = [0.4, 0.0]
[noise]
sigma = 0.3
[measurement]
y = [0.9, 0.2]
)";

Overrides joined(std::initializer_list<Overrides> parts) {
  Overrides out;
  for (const Overrides& part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

// --- what faults are made of ---------------------------------------------------------------------------------------------------------------

double posterior_sd(const Problem& problem, double t) { return std::sqrt(problem.lens->moments(Measure::posterior, t).covariance(0, 0)); }

/// tmpd, which is exact for a Gaussian prior, on a user's denoiser.
Contestant on_denoiser(const Problem& problem, std::shared_ptr<const Denoiser> denoiser) {
  return make_contestant(problem, {"tmpd", {}}, std::move(denoiser));
}

std::string setting(std::string_view problem, const std::string& what) { return fmt::format("{}; {}", problem, what); }

PlantedFault in_states(std::string name, std::string blamed, std::string_view text, std::string_view text_name, std::size_t particles,
                       TamperedStates::Plant plant, std::vector<double> times = {0.1, 0.05, 0.02}) {
  PlantedFault out;
  out.name = std::move(name);
  out.setting = setting(text_name, fmt::format("B = {}", particles));
  out.blamed = std::move(blamed);
  out.runs_per_trial = kRunsPerTrial;
  out.open = [=](std::uint64_t seed) {
    return std::make_unique<TamperedStates>(problem_from(text, kStrict), times, particles, plant, seed);
  };
  return out;
}

PlantedFault in_sampler(std::string name, std::string row, std::string_view text, std::string_view text_name, const Overrides& more,
                        TamperedSampler::Make make) {
  PlantedFault out;
  out.name = std::move(name);
  const Overrides overrides = joined({kChain, kStrict, more});
  out.setting = setting(text_name, fmt::format("B = 4096, {} steps", problem_from(text, overrides).grid.size() - 1));
  out.blamed = std::move(row);
  out.in_budget = true;
  out.runs_per_trial = 5;  // before one court runs without a measurement have the same random numbers
  out.open = [=](std::uint64_t seed) { return std::make_unique<TamperedSampler>(problem_from(text, overrides), make, seed); };
  return out;
}

PlantedFault in_problem(std::string name, const std::string& right, const std::string& wrong) {
  PlantedFault out;
  out.name = std::move(name);
  out.setting = "Gaussian, d = 8; 200 measurements, another y each run";
  out.blamed = "measurement-fit";
  out.open = [=](std::uint64_t seed) { return std::make_unique<WrongProblem>(problem_from(right, kStrict), problem_from(wrong, kStrict), seed); };
  return out;
}

constexpr std::string_view kLine = "Gaussian, d = 1", kModesName = "three modes, d = 1", kPlane = "Gaussian, d = 2";

std::vector<PlantedFault> faults_of_states() {
  constexpr std::size_t kCloud = 8192, kModesCloud = 16384;
  using Stream = const RandomStream&;
  std::vector<PlantedFault> out;
  out.push_back(in_states("bias of 0.1 sd", "distance", kGaussian, kLine, 8 * kCloud, [](const Problem& p, double t, Matrix& x, Stream) {
    const double sd = posterior_sd(p, t);
    for (double& value : x.values()) value += 0.1 * sd;
  }));
  for (const double factor : {0.8, 1.25})
    out.push_back(in_states(fmt::format("variance x {}", factor), "spread", kGaussian, kLine, kCloud, [factor](const Problem& p, double t, Matrix& x, Stream) {
      const double mean = p.lens->moments(Measure::posterior, t).mean[0];
      for (double& value : x.values()) value = mean + std::sqrt(factor) * (value - mean);
    }));
  out.push_back(in_states("a mode dropped", "mode-weights", kThreeModes, kModesName, kModesCloud, [](const Problem& p, double t, Matrix& x, Stream) {
    const double a = p.lens->schedule().a(t);
    for (double& value : x.values())
      if (value > 1.25 * a) value -= 2.5 * a;
  }));
  out.push_back(in_states("5 % of the mass moved", "mode-weights", kThreeModes, kModesName, kModesCloud, [](const Problem& p, double t, Matrix& x, Stream) {
    const double a = p.lens->schedule().a(t);
    for (std::size_t b = 0, left = x.rows() / 20; b < x.rows() && left > 0; ++b)
      if (std::abs(x(b, 0)) < a) x(b, 0) -= 2.0 * a, --left;
  }));
  out.push_back(in_states("a tenth of the particles are copies", "duplicates", kGaussian, kLine, kCloud, [](const Problem&, double, Matrix& x, Stream) {
    for (std::size_t b = 0; b < x.rows() / 10; ++b) x(b, 0) = x(x.rows() - 1 - b, 0);
  }));
  out.push_back(in_states("missing final denoise", "spread", kGaussian, kLine, kCloud, [](const Problem& p, double t, Matrix& x, Stream stream) {
    if (t > 0.0) return;
    const NoiseSchedule& schedule = p.lens->schedule();
    for (std::size_t b = 0; b < x.rows(); ++b) x(b, 0) = schedule.a(0.05) * x(b, 0) + schedule.s(0.05) * stream.normal(0, b);
  }, {0.5, 0.1, 0.05, 0.0}));
  out.back().also = [](const SamplerDiagnosis& diagnosis) {
    return std::ranges::find(diagnosis.checks, "spread", &Check::id)->first_t == 0.0;  // only there
  };
  return out;
}

std::vector<PlantedFault> faults_of_dynamics() {
  std::vector<PlantedFault> out;
  out.push_back(in_sampler("wrong schedule constant: beta_max 10 for 20", "dynamics", kGaussian, kLine, {}, [](const Problem& p) {
    return with_schedule(p, NoiseSchedule::vp_linear({0.1, 10.0}));
  }));
  out.push_back(in_sampler("off by one step", "dynamics", kGaussian, kLine, {"grid.steps=20"}, [](const Problem& p) {
    return altered_chain(p, [&](auto denoiser) {
      auto altered = std::make_shared<AlteredDenoiser>(std::move(denoiser));
      altered->at_time([grid = p.grid](double t) {
        const auto next = std::ranges::find_if(grid, [&](double other) { return other < t; });
        return next == grid.end() ? t : *next;
      });
      return altered;
    });
  }));
  out.push_back(in_sampler("stale x̂", "dynamics", kGaussian, kLine, {"grid.steps=20"}, with_stale_denoiser));
  out.push_back(in_sampler("float16 state, data at 100 ± 0.8", "duplicates", kGaussian, kLine, {"prior.mean=[100]", "measurement.y=[120.2]"}, [](const Problem& p) {
    return tampered(p, [](BatchView x, double, double) {
      for (std::size_t b = 0; b < x.rows(); ++b) x(b, 0) = rounded_to_half(x(b, 0));
    });
  }));
  out.back().in_budget = false;
  out.push_back(in_sampler("collapsed SMC: one ancestor for each batch at t = 0.1", "dynamics", kThreeModes, kModesName, {}, [](const Problem& p) {
    return tampered(p, [](BatchView x, double t, double u) {
      if (!(t > 0.1 && u <= 0.1)) return;
      for (std::size_t b = 1; b < x.rows(); ++b) x(b, 0) = x(0, 0);
    });
  }));
  return out;
}

std::vector<PlantedFault> faults_of_likelihood() {
  std::vector<PlantedFault> out;
  for (const double c : {0.5, 2.0})
    out.push_back(in_sampler(fmt::format("guidance x {}", c), "likelihood", kGaussian, kLine, {}, [c](const Problem& p) { return with_guidance(p, c); }));
  for (const double factor : {0.5, 2.0})
    out.push_back(in_sampler(fmt::format("sampler told sigma_y x {}", factor), "likelihood", kGaussian, kLine, {}, [factor](const Problem& p) {
      return with_likelihood(p, problem_from(kGaussian, {fmt::format("noise.sigma={}", 0.25 * factor)}));
    }));
  out.push_back(in_sampler("sampler's operator without its bias", "likelihood", kSheared, kPlane, {}, [](const Problem& p) {
    return with_likelihood(p, problem_from(kSheared, {"operator.bias=[0.0,0.0]"}));
  }));
  out.push_back(in_sampler("sampler's kernel transposed", "likelihood", kSheared, kPlane, {}, [](const Problem& p) {
    return with_likelihood(p, problem_from(kSheared, {"operator.matrix=[[1.0,0.0],[0.8,0.7]]"}));
  }));
  return out;
}

std::vector<PlantedFault> faults_of_the_rest() {
  std::vector<PlantedFault> out;
  out.push_back(in_sampler("clipped x̂_0: to [-1, 0.8]", "prior", kGaussian, kLine, {}, [](const Problem& p) {
    auto clipped = std::make_shared<AlteredDenoiser>(p.lens->denoiser(Measure::prior));
    clipped->with_means([](ConstBatchView, double, BatchView mean) {
      for (std::size_t b = 0; b < mean.rows(); ++b) mean(b, 0) = std::clamp(mean(b, 0), -1.0, 0.8);
    });
    return on_denoiser(p, clipped);
  }));
  out.push_back(in_sampler("wrong weights: the denoiser's modes have .5, .3, .2", "prior", kThreeModes, kModesName, {}, [](const Problem& p) {
    const double weights[] = {0.5, 0.3, 0.2};
    const auto wrong = std::make_shared<GaussianMixture>(Matrix(3, 1, {-2.0, 0.0, 2.5}), std::vector<Matrix>(3, Matrix(1, 1, {0.05})), weights);
    const GaussianMixtureLens believed(wrong, p.lens->schedule(), p.likelihood);
    Contestant contestant = unaltered(p);
    contestant.on_exact_denoiser = contestant.sampler;
    contestant.sampler = chain_of(p, believed.denoiser(Measure::posterior), believed.denoiser(Measure::prior)).sampler;
    return contestant;
  }));
  out.push_back(in_sampler("N(0, I) start at t_max = 0.3", "initialisation", kGaussian, kLine, {"grid.t_max=0.3", "prior.cov=[[0.05]]", "prior.mean=[2.0]", "measurement.y=[2.3]"}, [](const Problem& p) {
    Contestant contestant = unaltered(p);
    contestant.start = [](std::size_t count, const RandomStream& stream) {
      Matrix x(count, 1);
      stream.child("standard normal").fill_normal(0, x);
      return x;
    };
    return contestant;
  }));
  out.push_back(in_sampler("too few steps", "discretisation", kGaussian, kLine, {"grid.steps=10", "grid.integrator=euler-maruyama"}, unaltered));
  return out;
}

/// A blurred edge on a dark background, seen many times: what the kernel and the bias are can be told from y.
std::string blur(bool transposed, double bias, double sigma) {
  constexpr std::size_t kUnknowns = 8, kPixels = 10, kExposures = 20;
  const std::vector<double> kernel = {0.6, 0.3, 0.1};
  std::vector<std::string> rows, cov, mean;
  for (std::size_t i = 0; i < kPixels; ++i) {
    std::vector<double> row(kUnknowns);
    for (std::size_t j = 0; j < kUnknowns; ++j)
      if (i >= j && i - j < kernel.size()) row[j] = kernel[transposed ? kernel.size() - 1 - (i - j) : i - j];
    rows.push_back(fmt::format("[{}]", fmt::join(row, ", ")));
  }
  for (std::size_t i = 0; i < kUnknowns; ++i) {
    std::vector<double> variances(kUnknowns);
    variances[i] = 0.25;
    cov.push_back(fmt::format("[{}]", fmt::join(variances, ", ")));
    mean.push_back(i < 3 ? "2.0" : "0.0");
  }
  std::vector<std::string> matrix;
  for (std::size_t e = 0; e < kExposures; ++e) matrix.insert(matrix.end(), rows.begin(), rows.end());
  return fmt::format(R"(
[prior]
kind = "gaussian"
mean = [{}]
cov = [{}]
[operator]
kind = "matrix"
matrix = [{}]
bias = [{}]
[noise]
sigma = {}
[measurement]
from_prior = true
[run]
particles = 512
)",
                     fmt::join(mean, ", "), fmt::join(cov, ", "), fmt::join(matrix, ",\n"),
                     fmt::join(std::vector<double>(kExposures * kPixels, bias), ", "), sigma);
}

std::vector<PlantedFault> faults_of_the_problem() {
  const std::string right = blur(false, 0.5, 0.1);
  return {in_problem("problem's sigma_y x 0.5", right, blur(false, 0.5, 0.05)), in_problem("problem's sigma_y x 2", right, blur(false, 0.5, 0.2)),
          in_problem("problem's operator without its bias", right, blur(false, 0.0, 0.1)),
          in_problem("problem's kernel transposed", right, blur(true, 0.5, 0.1))};
}

}  // namespace

bool PlantedFault::attributed(const SamplerDiagnosis& diagnosis) const {
  if (also && !also(diagnosis)) return false;
  if (in_budget) return diagnosis.budget.largest == blamed;
  return std::ranges::find(diagnosis.checks, blamed, &Check::id)->verdict == Verdict::fail;
}

std::vector<PlantedFault> planted_faults() {
  std::vector<PlantedFault> out;
  for (auto& group : {faults_of_states(), faults_of_dynamics(), faults_of_likelihood(), faults_of_the_rest(), faults_of_the_problem()})
    out.insert(out.end(), group.begin(), group.end());
  return out;
}

std::vector<PlantedFault> unharmed_runs() {
  const std::string right = blur(false, 0.5, 0.1);
  return {in_states("none: exact draws", "", kGaussian, kLine, 8192, {}), in_states("none: exact draws", "", kThreeModes, kModesName, 16384, {}),
          in_sampler("none: the exact score", "", kGaussian, kLine, {}, unaltered), in_sampler("none: the exact score", "", kSheared, kPlane, {}, unaltered),
          in_problem("none: the problem itself", right, right)};
}

}  // namespace fslens::test
