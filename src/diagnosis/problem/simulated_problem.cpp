#include "fslens/diagnosis/simulated_problem.hpp"

#include <utility>

namespace fslens {

std::vector<double> simulated_measurement(const ForwardOperator& forward, const GaussianNoise& noise, std::span<const double> x0,
                                          const RandomStream& stream, std::uint64_t replicate) {
  Matrix y(1, forward.output_dim());
  forward.apply(ConstBatchView(x0.data(), 1, x0.size()), y);
  std::vector<double> sum(forward.output_dim());
  noise.sample(stream, 0, replicate, sum);
  for (std::size_t j = 0; j < sum.size(); ++j) sum[j] += y(0, j);
  return sum;
}

Truth draw_truth(const Problem& problem, const RandomStream& stream, std::uint64_t replicate) {
  const Lens& lens = *problem.lens;
  const Draws draw = lens.sample(Measure::prior, 1, 0.0, stream.child("simulated truth"), replicate);
  Truth truth{std::vector<double>(draw.x.row(0).begin(), draw.x.row(0).end()), draw.component[0], std::nullopt};
  if (problem.is_population) return truth;
  lens.copy_component(truth.component, truth.x0);  // the datum itself, not a smoothed draw about it
  truth.left_out = truth.component;
  return truth;
}

SimulatedProblem simulate_problem(const Problem& problem, const RandomStream& stream, std::uint64_t replicate) {
  const Lens& lens = *problem.lens;
  Truth truth = draw_truth(problem, stream, replicate);
  SimulatedProblem out{problem, std::move(truth.x0), truth.component, truth.left_out.has_value()};
  const ForwardOperatorPtr& forward = lens.likelihood().forward_ptr();
  const GaussianNoise& noise = lens.likelihood().noise();
  out.problem.likelihood = std::make_shared<Likelihood>(
      forward, noise, simulated_measurement(*forward, noise, out.truth, stream.child("simulated noise"), replicate));
  out.problem.lens = lens.remeasured(out.problem.likelihood, truth.left_out);
  return out;
}

}  // namespace fslens
