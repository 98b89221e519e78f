#include "reference.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>

#include "fslens/core/parallel.hpp"

namespace fslens::benchmarks {
namespace {

constexpr std::size_t kAtomsPerRange = 1024;
constexpr double kNegligible = 1e-30;  // beside a sum of weights of 1
constexpr double kSlack = 1e-9;        // the reference's own rounding

}  // namespace

Reference::Reference(const Workload& workload, std::span<const double> x, double t) : workload_(workload) {
  const AtomTable& atoms = workload.set.atoms;
  const double a = workload.schedule.a(t), s2 = workload.schedule.s2(t);
  std::vector<double> logits(atoms.count());
  parallel_for_ranges(atoms.count(), kAtomsPerRange, [&](std::size_t first, std::size_t last) {
    std::vector<double> atom(atoms.dim());
    for (std::size_t i = first; i < last; ++i) {
      atoms.copy_atom(i, atom);
      double sum = 0.0;
      for (std::size_t j = 0; j < atom.size(); ++j) sum += (x[j] - a * atom[j]) * (x[j] - a * atom[j]);
      logits[i] = -sum / (2.0 * s2);
    }
  });
  const std::array<std::span<const double>, 2> log_weights{workload.log_prior, workload.log_posterior};
  for (std::size_t measure = 0; measure < 2; ++measure) {
    std::vector<double>& weights = weights_[measure];
    weights.resize(atoms.count());
    std::ranges::transform(logits, log_weights[measure], weights.begin(), std::plus<>());
    const double best = *std::ranges::max_element(weights);
    double sum = 0.0;
    for (double& value : weights) sum += value = std::exp(value - best);
    for (double& value : weights) value /= sum;
  }
}

template <class Coefficient>
std::vector<double> Reference::weighted_sum(std::size_t measure, const Coefficient& coefficient) const {
  const AtomTable& atoms = workload_.set.atoms;
  constexpr std::size_t kAtomsPerSum = 16384;
  Matrix sums((atoms.count() + kAtomsPerSum - 1) / kAtomsPerSum, atoms.dim());
  parallel_for_ranges(atoms.count(), kAtomsPerSum, [&](std::size_t first, std::size_t last) {
    const auto sum = sums.row(first / kAtomsPerSum);
    std::vector<double> atom(atoms.dim());
    for (std::size_t i = first; i < last; ++i) {
      const double weight = weights_[measure][i];
      if (weight < kNegligible) continue;
      atoms.copy_atom(i, atom);
      coefficient(weight, atom);
      for (std::size_t j = 0; j < atom.size(); ++j) sum[j] += atom[j];
    }
  });
  std::vector<double> total(atoms.dim(), 0.0);
  for (std::size_t k = 0; k < sums.rows(); ++k)
    for (std::size_t j = 0; j < total.size(); ++j) total[j] += sums(k, j);
  return total;
}

std::vector<double> Reference::mean(std::size_t measure) const {
  return weighted_sum(measure, [](double weight, std::vector<double>& atom) {
    for (double& value : atom) value *= weight;
  });
}

std::vector<double> Reference::covariance_product(std::span<const double> mean, std::span<const double> v) const {
  return weighted_sum(0, [&](double weight, std::vector<double>& atom) {
    double inner = 0.0;
    for (std::size_t j = 0; j < atom.size(); ++j) inner += (atom[j] -= mean[j]) * v[j];
    for (double& value : atom) value *= weight * inner;
  });
}

double distance(std::span<const double> u, std::span<const double> v) {
  double sum = 0.0;
  for (std::size_t j = 0; j < u.size(); ++j) sum += (u[j] - v[j]) * (u[j] - v[j]);
  return std::sqrt(sum);
}

std::vector<std::size_t> checked_rows(std::size_t particles, std::size_t rows) {
  rows = std::min(rows, particles);
  std::vector<std::size_t> chosen;
  for (std::size_t k = 0; k < rows; ++k) chosen.push_back(k * particles / rows);
  return chosen;
}

std::string check_means(const Workload& workload, const SoftAssignmentRequest& request, double t, const SoftAssignmentResult& result,
                        std::size_t rows, const ReferenceOfRow& reference_of) {
  for (const std::size_t b : checked_rows(request.x.rows(), rows)) {
    std::optional<Reference> computed;
    const Reference& reference = reference_of ? reference_of(b) : computed.emplace(workload, request.x.row(b), t);
    for (std::size_t measure = 0; measure < result.measures.size(); ++measure) {
      const SoftAssignmentMoments& moments = result.measures[measure];
      const double error = distance(moments.mean.row(b), reference.mean(measure));
      if (!(error <= moments.mean_error.at(b) + kSlack))
        return fmt::format("t = {}: mean of particle {} under measure {} is {:.3g} from the definition's, bound {:.3g}", t, b, measure,
                           error, moments.mean_error[b]);
    }
  }
  const double unit = std::sqrt(request.s2 * static_cast<double>(workload.dim())) / request.a;
  for (std::size_t measure = 0; measure < result.measures.size(); ++measure)
    for (std::size_t b = 0; b < request.x.rows(); ++b)
      if (!(result.measures[measure].mean_error.at(b) <= request.tolerance * unit))
        return fmt::format("t = {}: bound {:.3g} of particle {} under measure {} is beyond the tolerance {:.3g}", t,
                           result.measures[measure].mean_error[b], b, measure, request.tolerance * unit);
  return "";
}

}  // namespace fslens::benchmarks
