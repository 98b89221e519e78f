// Faults on images: a sample of a prior instead of a prior, and margins as they come.
#include "diagnosis/problems.hpp"
#include "fslens/lens/finite_sample_lens.hpp"
#include "fslens/prior/empirical_prior.hpp"
#include "power/faulty_samplers.hpp"
#include "power/planted_faults.hpp"
#include "power/trials.hpp"

namespace fslens::test {
namespace {

constexpr const char* kFile = FSLENS_SOURCE_DIR "/problems/digits-superres.toml";

Problem digits() {
  return build(read_problem_file(kFile, {"run.particles=1024", "grid.steps=100", "grid.spacing=log-snr", "grid.integrator=exponential"}));
}

/// What a network has learnt that has seen no image of the modes from `first` on: an exact denoiser of what is left.
std::shared_ptr<const Lens> without_modes(const Problem& problem, std::size_t first) {
  const Lens& lens = *problem.lens;
  std::vector<double> atoms, atom(lens.dim());
  std::size_t kept = 0;
  for (std::size_t i = 0; i < lens.num_components(); ++i) {
    if (problem.modes.mode_of_component[i] >= first) continue;
    lens.copy_component(i, atom);
    atoms.insert(atoms.end(), atom.begin(), atom.end());
    ++kept;
  }
  return std::make_shared<FiniteSampleLens>(std::make_shared<EmpiricalPrior>(AtomTable(std::move(atoms), kept, lens.dim())), lens.schedule(),
                                            problem.likelihood);
}

PlantedFault fault(std::string name, std::string row, TamperedSampler::Make make) {
  PlantedFault out;
  out.name = std::move(name);
  out.setting = "digits, d = 64; B = 1024, 100 steps";
  out.blamed = std::move(row);
  out.in_budget = true;
  out.runs_per_trial = 5;
  out.open = [=](std::uint64_t seed) { return std::make_unique<TamperedSampler>(digits(), make, seed); };
  return out;
}

}  // namespace

std::vector<PlantedFault> faults_on_digits() {
  return {fault("guidance x 0.5", "likelihood", [](const Problem& p) { return with_guidance(p, 0.5); }),
          fault("guidance x 2", "likelihood", [](const Problem& p) { return with_guidance(p, 2.0); }),
          fault("sampler told sigma_y x 2", "likelihood",
                [](const Problem& p) {
                  const GaussianNoise wider = p.likelihood->noise().scaled(2.0);
                  Problem believed = p;
                  believed.likelihood = std::make_shared<Likelihood>(p.likelihood->forward_ptr(), wider,
                                                                     std::vector<double>(p.likelihood->y().begin(), p.likelihood->y().end()));
                  return with_likelihood(p, believed);
                }),
          fault("wrong schedule constant: beta_max 10 for 20", "dynamics",
                [](const Problem& p) { return with_schedule(p, NoiseSchedule::vp_linear({0.1, 10.0})); }),
          fault("the denoiser has not seen the modes from the sixth on", "prior",
                [](const Problem& p) {
                  const auto believed = without_modes(p, 5);
                  Contestant contestant = unaltered(p);
                  contestant.on_exact_denoiser = contestant.sampler;
                  contestant.sampler = chain_of(p, believed->denoiser(Measure::posterior), believed->denoiser(Measure::prior)).sampler;
                  return contestant;
                }),
          fault("none: the exact score", "", unaltered)};
}

}  // namespace fslens::test
