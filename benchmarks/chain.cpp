#include "chain.hpp"

#include <algorithm>
#include <utility>

#include "fslens/samplers/integrator.hpp"
#include "machine.hpp"

namespace fslens::benchmarks {

PosteriorChain::PosteriorChain(const Workload& workload, Matrix x, const RandomStream& stream, const PassOptions& options)
    : workload_(workload), x_(std::move(x)), stream_(stream), options_(options) {}

double PosteriorChain::pass(double t) {
  request_ = full_pass_request(workload_, x_, t, options_.tolerance, options_.exact_scan);
  request_.memory = &memory_;
  const double started = seconds_now();
  result_ = soft_assignment(request_);
  return seconds_now() - started;
}

double PosteriorChain::move(double t, double u, std::uint64_t step) {
  const double started = seconds_now();
  const GuidedMean posterior_mean = [this](ConstBatchView, double, BatchView guided) {
    for (std::size_t b = 0; b < guided.rows(); ++b) std::ranges::copy(result_.measures[1].mean.row(b), guided.row(b).begin());
  };
  integrate_step({Integrator::euler_maruyama, 0.0, t, u}, workload_.schedule, posterior_mean, x_, step, stream_);
  return seconds_now() - started;
}

}  // namespace fslens::benchmarks
