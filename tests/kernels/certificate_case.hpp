// A soft assignment whose every stated bound is compared with the oracle's, and the judgement of it.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "fslens/core/parallel.hpp"
#include "fslens/kernels/soft_assignment.hpp"
#include "fslens/rng/stream.hpp"
#include "kernels/certificate_oracle.hpp"

namespace fslens::test {

/// How C v is asked for.
enum class ProductBy { none, direction, callback };

/// Everything that is asked, in plain values; `atoms` and `values` are the same atoms. Every atom has weight 1 at
/// first.
struct CertificateCase {
  CertificateCase(std::string case_name, AtomTable table, std::vector<double> decoded, Matrix states)
      : name(std::move(case_name)),
        atoms(std::move(table)),
        values(std::move(decoded)),
        x(std::move(states)),
        log_weights(1, std::vector<double>(atoms.count(), 0.0)) {}

  std::string name;
  AtomTable atoms;
  std::vector<double> values;
  Matrix x;
  std::vector<std::vector<double>> log_weights;
  double a = 1.0, s2 = 1.0;
  std::size_t q = 0;
  std::vector<double> features;  ///< [N, q]
  Matrix v;
  ProductBy product = ProductBy::none;
  bool exact_scan = false;
  bool ordinary = false;  ///< of a scale at which the tolerance must be met
};

struct ParticleOracle {
  Distances distances;
  std::vector<Posterior<long double>> posterior;
  std::vector<Moments<long double>> moments;
};

/// |computed − exact| and what it may be. `own` is the oracle's error.
struct Gap {
  const char* field;
  std::size_t particle, measure;
  long double gap, bound, own;

  bool surely_holds() const { return own < kUnbounded && gap + own <= bound; }
  /// The oracle's own rounding is all that is allowed beside the bound, and what no double can state; an oracle that
  /// knows nothing decides nothing.
  bool holds() const { return gap <= bound + own + kNegligible && own < kUnbounded; }
};

/// What the kernel returned and the directions that it was given.
struct Answer {
  SoftAssignmentResult result;
  Matrix directions;
};

class CaseOracle {
 public:
  explicit CaseOracle(const CertificateCase& c) : case_(c) {
    const std::size_t n = c.atoms.count(), d = c.atoms.dim();
    input_ = {n, d, c.q, c.values, c.features, std::vector<long double>(n), c.a, c.s2};
    for (std::size_t i = 0; i < n; ++i) input_.norms[i] = norm_of<double>({input_.atom(i), d});
    particles_.resize(c.x.rows());
    direction_mean_ = Matrix(c.x.rows(), d);
    parallel_for(particles_.size(), [&](std::size_t b) { prepare(b); });
  }

  const OracleInput& input() const { return input_; }
  bool finite(std::size_t b) const { return !particles_[b].posterior.empty(); }
  const Moments<long double>& moments(std::size_t b, std::size_t m) const { return particles_[b].moments[m]; }

  /// What one rounding in 53 bits, of each difference x − a x_i and of the mean, may do to the mean.
  long double conditioning(std::size_t b, std::size_t m) const {
    const ParticleOracle& p = particles_[b];
    const Posterior<long double>& posterior = p.posterior[m];
    const double* best = input_.atom(posterior.pivot);
    long double moved = 0.0L, size = 0.0L;
    for (std::size_t j = 0; j < posterior.size(); ++j) {
      const std::size_t i = posterior.kept[j];
      std::vector<long double> apart(input_.d);
      for (std::size_t k = 0; k < input_.d; ++k) apart[k] = (input_.atom(i)[k] - best[k]) - p.moments[m].offset[k];
      const long double far = std::sqrt(p.distances.squared[i]);
      moved += posterior.weight[j] * norm_of<long double>(apart) * far * (far + input_.a * input_.norms[i]) / input_.s2;
      size += posterior.weight[j] * input_.norms[i];
    }
    return 0x1p-53L * (moved + size) / posterior.sum;
  }

  /// The kernel's answer to the case. The features and directions are handed over the way a caller would.
  Answer ask(double tolerance) const {
    Answer answer;
    answer.directions = case_.v;
    AtomFeatures features{case_.q, [this](std::size_t first, std::size_t count, double* out) {
                            std::copy_n(case_.features.data() + first * case_.q, count * case_.q, out);
                          }};
    SoftAssignmentRequest request;
    request.atoms = &case_.atoms;
    request.x = case_.x;
    request.a = case_.a;
    request.s2 = case_.s2;
    for (const auto& weights : case_.log_weights) request.log_weights.emplace_back(weights);
    request.want_variance = true;
    if (case_.q > 0) request.features = &features;
    if (case_.product == ProductBy::direction) {
      request.direction = case_.v;
      request.direction_mean = direction_mean_;
    } else if (case_.product == ProductBy::callback) {
      request.direction_of = [&](std::span<const std::size_t> which, ConstBatchView means, ConstBatchView feature_means,
                                 BatchView out) { direct(which, means, feature_means, out, answer.directions); };
    }
    request.tolerance = tolerance;
    request.exact_scan = case_.exact_scan;
    answer.result = soft_assignment(request);
    return answer;
  }

  /// Every field of every finite row; in 113 bits where long double cannot tell (or everywhere, if asked to).
  std::vector<Gap> compare(const Answer& answer, bool always_wide = false) const {
    std::vector<std::vector<Gap>> rows(particles_.size());
    parallel_for(rows.size(), [&](std::size_t b) {
      if (!finite(b)) return;
      const ParticleOracle& p = particles_[b];
      rows[b] = gaps(b, p.posterior, p.moments, answer);
      const bool sure = std::all_of(rows[b].begin(), rows[b].end(), [](const Gap& g) { return g.surely_holds(); });
      if (sure && !always_wide) return;
      const auto [posterior, moments] = wide(b);
      rows[b] = gaps(b, posterior, moments, answer);
    });
    std::vector<Gap> all;
    for (const auto& row : rows) all.insert(all.end(), row.begin(), row.end());
    return all;
  }

  std::pair<std::vector<Posterior<Wide>>, std::vector<Moments<Wide>>> wide(std::size_t b) const {
    std::pair<std::vector<Posterior<Wide>>, std::vector<Moments<Wide>>> out;
    const ParticleOracle& p = particles_[b];
    for (std::size_t m = 0; m < p.posterior.size(); ++m) {
      out.first.push_back(
          wide_posterior(input_, case_.x.row(b).data(), p.distances, case_.log_weights[m], p.posterior[m]));
      out.second.push_back(moments_of(input_, out.first.back()));
    }
    return out;
  }

 private:
  void prepare(std::size_t b) {
    const std::span<const double> x = case_.x.row(b);
    if (!std::all_of(x.begin(), x.end(), [](double value) { return std::isfinite(value); })) return;
    ParticleOracle& p = particles_[b];
    p.distances = direct_distances(input_, x.data());
    for (const auto& weights : case_.log_weights) {
      p.posterior.push_back(direct_posterior(input_, p.distances, weights));
      p.moments.push_back(moments_of(input_, p.posterior.back()));
    }
    const double* best = input_.atom(p.posterior[0].pivot);
    for (std::size_t k = 0; k < input_.d; ++k)
      direction_mean_(b, k) = static_cast<double>(best[k] + p.moments[0].offset[k]);
  }

  void direct(std::span<const std::size_t> which, ConstBatchView means, ConstBatchView feature_means, BatchView out,
              Matrix& used) const {
    for (std::size_t j = 0; j < which.size(); ++j)
      for (std::size_t k = 0; k < input_.d; ++k) {
        out(j, k) = case_.v(which[j], k) + 0.1 * means(j, k) + (input_.q > 0 ? 0.01 * feature_means(j, 0) : 0.0);
        used(which[j], k) = out(j, k);
      }
  }

  /// ‖(computed − pivot) − offset‖ with the rounding of the first difference.
  template <class Real>
  static std::pair<long double, long double> distance(std::span<const double> computed, const double* pivot,
                                                      const std::vector<Real>& offset) {
    std::vector<Real> apart(offset.size());
    for (std::size_t k = 0; k < offset.size(); ++k) apart[k] = (Real(computed[k]) - pivot[k]) - offset[k];
    const long double size = norm_of<Real>(apart);
    return {size, 4 * unit_roundoff<Real>() * (size + norm_of<Real>(offset))};
  }

  template <class Real>
  std::vector<Gap> gaps(std::size_t b, const std::vector<Posterior<Real>>& posterior,
                        const std::vector<Moments<Real>>& moments, const Answer& answer) const {
    std::vector<Gap> out;
    const auto size = [](Real value) { return std::abs(static_cast<long double>(value)); };
    for (std::size_t m = 0; m < posterior.size(); ++m) {
      const SoftAssignmentMoments& got = answer.result.measures[m];
      const Moments<Real>& want = moments[m];
      out.push_back({"log_normaliser", b, m, size(got.log_normaliser[b] - want.log_normaliser),
                     got.log_normaliser_error[b], want.log_normaliser_error});
      const auto [gap, rounding] = distance<Real>(got.mean.row(b), input_.atom(posterior[m].pivot), want.offset);
      out.push_back({"mean", b, m, gap, got.mean_error[b], want.mean_error + rounding});
      out.push_back(
          {"variance", b, m, size(got.variance[b] - want.variance), got.variance_error[b], want.variance_error});
      if (input_.q == 0) continue;
      const double* feature = input_.features.data() + posterior[m].pivot * input_.q;
      Gap worst{"feature_mean", b, m, 0.0L, got.feature_error[b], want.feature_error};
      long double rounding_of_features = 0.0L;
      for (std::size_t j = 0; j < input_.q; ++j) {
        const long double off = size((Real(got.feature_mean(b, j)) - feature[j]) - want.feature_offset[j]);
        worst.gap = std::max(worst.gap, off);
        rounding_of_features = std::max(rounding_of_features, off + size(want.feature_offset[j]));
      }
      worst.own += 4 * unit_roundoff<Real>() * rounding_of_features;
      out.push_back(worst);
    }
    if (case_.product != ProductBy::none) out.push_back(product_gap(b, posterior[0], moments[0], answer));
    return out;
  }

  /// For a given centre the field is Σ w_i (x_i − m)<x_i − m, v> about that very m; from the callback, about the mean
  /// itself.
  template <class Real>
  Gap product_gap(std::size_t b, const Posterior<Real>& posterior, const Moments<Real>& moments,
                  const Answer& answer) const {
    const double* v = answer.directions.row(b).data();
    const double* best = input_.atom(posterior.pivot);
    std::vector<Real> centre = moments.offset;
    long double centre_error = moments.mean_error;
    if (case_.product == ProductBy::direction) {
      for (std::size_t k = 0; k < input_.d; ++k) centre[k] = Real(direction_mean_(b, k)) - best[k];
      centre_error = 0.0L;
    }
    const Product<Real> want = product_of(input_, posterior, centre, v);
    std::vector<Real> apart(input_.d);
    for (std::size_t k = 0; k < input_.d; ++k) apart[k] = answer.result.covariance_product(b, k) - want.value[k];
    // Σ w (x_i − m')(x_i − m')ᵀ = C + (m' − m)(m' − m)ᵀ
    const long double own = want.error + centre_error * centre_error * norm_of<double>({v, input_.d});
    return {"covariance_product", b, 0, norm_of<Real>(apart), answer.result.covariance_product_error[b], own};
  }

  const CertificateCase& case_;
  OracleInput input_;
  std::vector<ParticleOracle> particles_;
  Matrix direction_mean_;
};

/// 1e-12 is asked for where double arithmetic can give it: where this many roundings stay below it. (A mean of size 10
/// is itself rounded by more than 1e-12 s at s = 1e-3; at a tie between far atoms a rounding of x moves the mean by
/// more.)
inline constexpr long double kRoundingsInReach = 64.0L;

/// Adds a failure for each broken bound and, in an ordinary case, each tolerance that is not met. @returns their number
inline std::size_t judge(const CertificateCase& c, const CaseOracle& oracle, const Answer& answer, double tolerance,
                         bool always_wide = false) {
  std::size_t failures = 0;
  const double d = static_cast<double>(c.atoms.dim());
  const auto say = [&](const Gap& g, const char* what) {
    if (++failures > 3) return;
    ADD_FAILURE() << what << ": " << c.name << " N " << c.atoms.count() << " d " << c.atoms.dim() << " a " << c.a
                  << " s2 " << c.s2 << " tolerance " << tolerance << (c.exact_scan ? " exact scan, " : ", ") << g.field
                  << " of measure " << g.measure << " of " << c.log_weights.size() << ", particle " << g.particle
                  << ": off by " << static_cast<double>(g.gap) << ", bound " << static_cast<double>(g.bound)
                  << ", oracle's error " << static_cast<double>(g.own);
  };
  for (const Gap& g : oracle.compare(answer, always_wide)) {
    if (std::isnan(g.gap))
      say(g, "the result is not a number");
    else if (!g.holds())
      say(g, g.own < kUnbounded ? "the bound does not hold" : "the oracle cannot tell");
    const long double allowed = tolerance * std::sqrt(c.s2 * d) * (1 + 1e-12L);
    if (!c.ordinary || std::string_view(g.field) != "mean" || c.a * g.bound <= allowed) continue;
    const bool in_reach = c.a * kRoundingsInReach * oracle.conditioning(g.particle, g.measure) <= allowed;
    if (tolerance >= kSingleTolerance || (c.atoms.dim() <= 64 && in_reach)) say(g, "the tolerance is not met");
  }
  return failures;
}

/// The rows of x that are not finite must be NaN in every field, and no other.
inline void expect_nan_rows(const CertificateCase& c, const CaseOracle& oracle, const Answer& answer) {
  for (std::size_t b = 0; b < c.x.rows(); ++b)
    for (const SoftAssignmentMoments& got : answer.result.measures) {
      const bool spoilt = !oracle.finite(b);
      EXPECT_EQ(std::isnan(got.log_normaliser[b]), spoilt) << c.name << " row " << b;
      EXPECT_EQ(std::isnan(got.variance[b]), spoilt) << c.name << " row " << b;
      for (const double value : got.mean.row(b)) EXPECT_EQ(std::isnan(value), spoilt) << c.name << " row " << b;
      if (c.product == ProductBy::none) continue;
      for (const double value : answer.result.covariance_product.row(b))
        EXPECT_EQ(std::isnan(value), spoilt) << c.name << " row " << b;
    }
}

}  // namespace fslens::test
