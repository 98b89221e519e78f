#include "power/trials.hpp"

#include <fmt/format.h>

#include <utility>

#include "fslens/diagnosis/simulated_problem.hpp"

namespace fslens::test {
namespace {

constexpr double kFamilywise = 0.01;

Court::Rules rules_for(const Problem& problem, std::size_t num_times, bool with_budget) {
  Court::Rules rules = Court::rules(kFamilywise, {num_times}, problem.modes.num_modes());
  rules.error_budget = with_budget;
  rules.sweeps = Sweeps::none;
  return rules;
}

std::vector<double> recorded_times(const Problem& problem) {
  std::vector<double> times;
  for (const std::size_t i : recorded_indices(problem.grid.size(), problem.num_recorded)) times.push_back(problem.grid[i]);
  return times;
}

}  // namespace

TamperedStates::TamperedStates(Problem problem, std::vector<double> times, std::size_t particles, Plant plant, std::uint64_t seed)
    : problem_(std::move(problem)), times_(std::move(times)), particles_(particles), plant_(std::move(plant)), stream_(seed),
      court_(problem_, times_, particles_, measurement_fit(problem_, stream_, observer_), rules_for(problem_, times_.size(), false),
             stream_.child("court"), observer_) {}

SamplerDiagnosis TamperedStates::judge(std::uint64_t run) {
  const RandomStream stream = stream_.child("run", run);
  std::vector<Matrix> states;
  for (const double t : times_) {
    states.push_back(problem_.lens->sample(Measure::posterior, particles_, t, stream).x);
    if (plant_) plant_(problem_, t, states.back(), stream.child("fault"));
  }
  return court_.judge(Recording("run", times_, std::move(states)));
}

TamperedSampler::TamperedSampler(Problem problem, const Make& make, std::uint64_t seed)
    : problem_(std::move(problem)), contestant_(make(problem_)), stream_(seed),
      court_(problem_, recorded_times(problem_), problem_.num_particles, measurement_fit(problem_, stream_, observer_),
             rules_for(problem_, recorded_times(problem_).size(), true), stream_.child("court"), observer_) {}

SamplerDiagnosis TamperedSampler::judge(std::uint64_t run) {
  contestant_.name = fmt::format("run {}", run);  // the budget's random numbers go by it
  return court_.judge(contestant_, stream_.child("run", run));
}

WrongProblem::WrongProblem(const Problem& right, Problem wrong, std::uint64_t seed) : wrong_(std::move(wrong)), stream_(seed) {
  const auto y = simulate_problem(right, stream_.child("measurement"), 0).problem.likelihood->y();
  wrong_.likelihood = std::make_shared<Likelihood>(wrong_.likelihood->forward_ptr(), wrong_.likelihood->noise(), std::vector<double>(y.begin(), y.end()));
  wrong_.lens = wrong_.lens->remeasured(wrong_.likelihood);
}

SamplerDiagnosis WrongProblem::judge(std::uint64_t run) {
  const std::vector<double> times = {1.0, 0.1, 0.02};
  Court court(wrong_, times, wrong_.num_particles, measurement_fit(wrong_, stream_, observer_), rules_for(wrong_, times.size(), true),
              stream_.child("court"), observer_);
  Contestant exact;
  exact.name = "exact";
  exact.method = "exact";
  return court.judge(exact, stream_.child("run", run));
}

}  // namespace fslens::test
