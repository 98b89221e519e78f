// An oracle of the soft assignment that knows its own error, in long double and in 113 bits. Written from the formulas
// alone.
//
// Logits in long double are direct differences, lw_i − ‖x − a x_i‖²/2s²; in 113 bits they are differences from the best
// atom, −(a/2s²)<x_i − x_j, (a x_i − x) + (a x_j − x)>, so that the two check each other. Everything else is taken from
// the best atom j as well (offset = mean − x_j), so that a posterior that sits on one atom is as exact, relatively, as
// a wide one. Each rounding bound is the a priori one: a sum of n terms by `ordered_sum` errs by at most sum_depth(n) u
// Σ|terms|.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

#include "fslens/core/matrix.hpp"

namespace fslens::test {

#ifdef __SIZEOF_FLOAT128__
__extension__ typedef __float128 Wide;
#else
using Wide = long double;  // where it has 113 bits itself
#endif

template <class Real>
constexpr long double unit_roundoff() {
  return sizeof(Real) == sizeof(long double) && std::is_same_v<Real, long double>
             ? std::numeric_limits<long double>::epsilon() / 2
             : 0x1p-113L;
}

inline constexpr long double kUnbounded = std::numeric_limits<long double>::infinity();
/// Atoms whose weight, relative to the best, is below e^−800 (1e-347) are left out; what they add is below this for
/// every input of these tests (N ≤ 1e4, values ≤ 1e18) and so is the smallest bound that a double can state with full
/// precision.
inline constexpr long double kLogNegligible = -800.0L;
inline constexpr long double kNegligible = 1e-300L;
/// exp errs by fewer ulps than this (long double: libm's 1; 113 bits: 16 squared up from 4 of the series).
inline constexpr long double kExpRoundoffs = 128.0L;

inline long double exp_of(long double x) { return std::exp(x); }
inline long double log_of(long double x) { return std::log(x); }

#ifdef __SIZEOF_FLOAT128__
/// e^x for |x| < 1e4: x = k log 2 + 16 r, then Taylor's series at r and four squarings.
inline Wide exp_of(Wide x) {
  const int k = static_cast<int>(std::lrint(static_cast<double>(x) * 1.4426950408889634));
  const Wide log2_high = 0xb.17217f7d1cf79abp-4L;
  const Wide log2_low = 0xc.9e3b39803f2f6afp-68L;
  const Wide r = ((x - k * log2_high) - k * log2_low) / 16;
  Wide sum = 1;
  for (int n = 20; n >= 1; --n) sum = 1 + sum * r / n;
  for (int n = 0; n < 4; ++n) sum *= sum;
  const int half = k / 2;  // 2^k itself may be out of a long double's range
  return sum * static_cast<Wide>(std::ldexp(1.0L, half)) * static_cast<Wide>(std::ldexp(1.0L, k - half));
}
/// One Newton step from the long double logarithm.
inline Wide log_of(Wide x) {
  const Wide start = std::log(static_cast<long double>(x));
  return start + (x * exp_of(-start) - 1);
}
#endif

inline constexpr long double sum_depth(std::size_t n) { return 22.0L + static_cast<long double>(n) / 64; }

/// Σ term(i), i < n: blocks of 64, each in four partial sums.
template <class Real, class Term>
Real ordered_sum(std::size_t n, const Term& term) {
  Real total = 0;
  for (std::size_t first = 0; first < n; first += 64) {
    const std::size_t last = std::min(n, first + 64);
    Real s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    std::size_t i = first;
    for (; i + 4 <= last; i += 4) s0 += term(i), s1 += term(i + 1), s2 += term(i + 2), s3 += term(i + 3);
    for (; i < last; ++i) s0 += term(i);
    total += (s0 + s1) + (s2 + s3);
  }
  return total;
}

template <class Real>
long double norm_of(std::span<const Real> v) {
  return std::sqrt(ordered_sum<long double>(
      v.size(), [&](std::size_t k) { return static_cast<long double>(v[k]) * static_cast<long double>(v[k]); }));
}

/// What the oracle is asked about: decoded atoms [n, d], their norms, features [n, q] (or none), and the noise.
struct OracleInput {
  std::size_t n = 0, d = 0, q = 0;
  std::span<const double> atoms, features;
  std::vector<long double> norms;
  double a = 1.0, s2 = 1.0;

  const double* atom(std::size_t i) const { return atoms.data() + i * d; }
};

/// ‖x − a x_i‖² and what it may be off by, for all i.
struct Distances {
  std::vector<long double> squared, error;
};

inline Distances direct_distances(const OracleInput& in, const double* x) {
  constexpr long double u = unit_roundoff<long double>();
  Distances out{std::vector<long double>(in.n), std::vector<long double>(in.n)};
  const long double a = in.a;
  for (std::size_t i = 0; i < in.n; ++i) {
    const double* atom = in.atom(i);
    const long double squared = ordered_sum<long double>(in.d, [&](std::size_t k) {
      const long double e = x[k] - a * atom[k];
      return e * e;
    });
    // e_k errs by u(|a x_ik| + |e_k|); its square and the sum by u times the depth.
    const long double reach = a * in.norms[i];
    out.squared[i] = squared;
    out.error[i] = 1.01L * u * ((sum_depth(in.d) + 6) * squared + 2 * reach * (std::sqrt(squared) + u * reach));
  }
  return out;
}

/// w_i ∝ weight_i = exp(logit_i − logit_pivot), over the atoms that are not negligible.
template <class Real>
struct Posterior {
  std::vector<std::size_t> kept;
  std::vector<Real> weight;
  std::vector<long double> doubt;  ///< ≥ |weight − exact|
  std::size_t pivot = 0;
  Real sum = 0;
  long double doubt_sum = 0.0L;
  long double left_out = 0.0L;  ///< 0, or kNegligible if an atom of positive weight was left out
  Real pivot_logit = 0;
  long double pivot_error = 0.0L;

  std::size_t size() const { return kept.size(); }
  /// How much doubtful weights move a mean of values that lie `distance(i)` from it:
  /// m' − m = Σ w_i (e^{η_i} − 1)(f_i − m)/Σ w_i e^{η_i}.
  template <class Distance>
  long double moved(const Distance& distance) const {
    if (!(doubt_sum < static_cast<long double>(sum) / 2)) return kUnbounded;
    const long double total = ordered_sum<long double>(size(), [&](std::size_t i) { return doubt[i] * distance(i); });
    return 1.01L * total / (static_cast<long double>(sum) - doubt_sum);
  }
};

template <class Real>
void keep_atom(Posterior<Real>& out, std::size_t i, Real logit, long double eta) {
  if (static_cast<long double>(logit) + eta < kLogNegligible) {
    out.left_out = kNegligible;
    return;
  }
  const Real weight = i == out.pivot ? Real(1) : exp_of(logit);
  eta = i == out.pivot ? 0.0L : eta + kExpRoundoffs * unit_roundoff<Real>();
  out.kept.push_back(i);
  out.weight.push_back(weight);
  // e^η − 1 ≤ η + η² up to η = 1
  out.doubt.push_back(eta < 1.0L ? static_cast<long double>(weight) * eta * (1.0L + eta) : kUnbounded);
}

template <class Real>
void add_up(Posterior<Real>& out) {
  out.sum = ordered_sum<Real>(out.size(), [&](std::size_t i) { return out.weight[i]; });
  out.doubt_sum = ordered_sum<long double>(out.size(), [&](std::size_t i) { return out.doubt[i]; });
}

inline Posterior<long double> direct_posterior(const OracleInput& in, const Distances& distances,
                                               std::span<const double> log_weights) {
  constexpr long double u = unit_roundoff<long double>();
  const long double scale = 2.0L * in.s2;
  std::vector<long double> logit(in.n), error(in.n);
  Posterior<long double> out;
  for (std::size_t i = 0; i < in.n; ++i) {
    const long double exponent = distances.squared[i] / scale;
    logit[i] = log_weights[i] - exponent;
    error[i] = 1.01L * (distances.error[i] / scale + u * (2 * exponent + std::abs(logit[i])));
    if (logit[i] > logit[out.pivot]) out.pivot = i;
  }
  out.pivot_logit = logit[out.pivot];
  out.pivot_error = error[out.pivot];
  for (std::size_t i = 0; i < in.n; ++i) {
    if (std::isinf(log_weights[i])) continue;
    const long double gap = logit[i] - out.pivot_logit;
    keep_atom(out, i, gap, error[i] + out.pivot_error + u * std::abs(gap));
  }
  add_up(out);
  return out;
}

/// The same in 113 bits over the atoms that the direct one kept (it keeps what may matter by its own error).
inline Posterior<Wide> wide_posterior(const OracleInput& in, const double* x, const Distances& distances,
                                      std::span<const double> log_weights, const Posterior<long double>& direct) {
  constexpr long double u = unit_roundoff<Wide>();
  const Wide a = in.a, twice = Wide(2) * in.s2;
  const double* best = in.atom(direct.pivot);
  Posterior<Wide> out;
  out.pivot = direct.pivot;
  out.left_out = direct.left_out;
  const Wide squared =
      ordered_sum<Wide>(in.d, [&](std::size_t k) { return (x[k] - a * best[k]) * (x[k] - a * best[k]); });
  out.pivot_logit = log_weights[out.pivot] - squared / twice;
  out.pivot_error = 1.01L * u *
                    ((sum_depth(in.d) + 8) * static_cast<long double>(squared / twice) +
                     std::abs(static_cast<long double>(out.pivot_logit)));
  const long double best_reach = std::sqrt(static_cast<long double>(squared));
  for (const std::size_t i : direct.kept) {
    const double* atom = in.atom(i);
    const Wide inner = ordered_sum<Wide>(
        in.d, [&](std::size_t k) { return (Wide(atom[k]) - best[k]) * ((a * atom[k] - x[k]) + (a * best[k] - x[k])); });
    const long double apart = std::sqrt(ordered_sum<long double>(in.d, [&](std::size_t k) {
      const long double g = static_cast<long double>(atom[k]) - best[k];
      return g * g;
    }));
    const Wide tilt = Wide(log_weights[i]) - log_weights[out.pivot];
    const Wide logit = tilt - a * inner / twice;
    const long double reach = apart * (std::sqrt(distances.squared[i] + distances.error[i]) + best_reach);
    const long double size = static_cast<long double>(in.a) * reach / (2.0L * in.s2);
    const long double eta = 1.01L * u * ((sum_depth(in.d) + 12) * size + 2 * std::abs(static_cast<long double>(tilt)));
    keep_atom(out, i, logit, eta);
  }
  add_up(out);
  return out;
}

/// Moments as offsets from the best atom, each with the oracle's own error.
template <class Real>
struct Moments {
  Real log_normaliser = 0, variance = 0;
  std::vector<Real> offset;          ///< mean − x_pivot [d]
  std::vector<Real> feature_offset;  ///< feature mean − φ_pivot [q]
  long double log_normaliser_error = 0.0L, mean_error = 0.0L, variance_error = 0.0L, feature_error = 0.0L;
};

template <class Real>
void add_features(const OracleInput& in, const Posterior<Real>& p, Moments<Real>& out) {
  constexpr long double u = unit_roundoff<Real>();
  const double* best = in.features.data() + p.pivot * in.q;
  for (std::size_t j = 0; j < in.q; ++j) {
    const auto apart = [&](std::size_t i) { return Real(in.features[p.kept[i] * in.q + j]) - best[j]; };
    const Real offset = ordered_sum<Real>(p.size(), [&](std::size_t i) { return p.weight[i] * apart(i); }) / p.sum;
    const auto size = [&](std::size_t i) { return std::abs(static_cast<long double>(apart(i))); };
    const auto distance = [&](std::size_t i) { return std::abs(static_cast<long double>(apart(i) - offset)); };
    const long double total = ordered_sum<long double>(
        p.size(), [&](std::size_t i) { return static_cast<long double>(p.weight[i]) * size(i); });
    const long double rounding = 2.0L * u * (sum_depth(p.size()) + 6) * total / static_cast<long double>(p.sum);
    out.feature_offset.push_back(offset);
    out.feature_error = std::max(out.feature_error, rounding + p.moved(distance) + p.left_out);
  }
}

template <class Real>
Moments<Real> moments_of(const OracleInput& in, const Posterior<Real>& p) {
  constexpr long double u = unit_roundoff<Real>();
  Moments<Real> out;
  const double* best = in.atom(p.pivot);
  out.offset.resize(in.d);
  for (std::size_t k = 0; k < in.d; ++k)
    out.offset[k] =
        ordered_sum<Real>(p.size(),
                          [&](std::size_t i) { return p.weight[i] * (Real(in.atom(p.kept[i])[k]) - best[k]); }) /
        p.sum;
  std::vector<Real> squared(p.size());
  for (std::size_t i = 0; i < p.size(); ++i)
    squared[i] = ordered_sum<Real>(in.d, [&](std::size_t k) {
      const Real r = (Real(in.atom(p.kept[i])[k]) - best[k]) - out.offset[k];
      return r * r;
    });
  out.variance = ordered_sum<Real>(p.size(), [&](std::size_t i) { return p.weight[i] * squared[i]; }) / p.sum;

  const long double shift = norm_of<Real>(out.offset), sum = static_cast<long double>(p.sum);
  const auto distance = [&](std::size_t i) { return std::sqrt(static_cast<long double>(squared[i])); };
  const auto average = [&](const auto& term) {
    return ordered_sum<long double>(p.size(),
                                    [&](std::size_t i) { return static_cast<long double>(p.weight[i]) * term(i); }) /
           sum;
  };
  const long double depth = 2.0L * sum_depth(p.size()) + sum_depth(in.d) + 16;
  // ‖x_i − x_j‖ ≤ ‖x_i − m‖ + shift; the pivot itself is exactly 0.
  const long double spread = average([&](std::size_t i) { return p.kept[i] == p.pivot ? 0.0L : distance(i) + shift; });
  out.mean_error = 1.01L * u * depth * spread + p.moved([&](std::size_t i) { return distance(i); }) + p.left_out;
  const long double variance = static_cast<long double>(out.variance);
  const long double rounding = average([&](std::size_t i) { return distance(i) * (depth * distance(i) + 4 * shift); });
  out.variance_error = 1.01L * u * rounding +
                       p.moved([&](std::size_t i) { return distance(i) * distance(i) + variance; }) +
                       out.mean_error * out.mean_error + p.left_out;
  const Real log_sum = log_of(p.sum);
  out.log_normaliser = p.pivot_logit + log_sum;
  out.log_normaliser_error = p.pivot_error + p.moved([](std::size_t) {
    return 1.0L;
  }) + p.left_out + 1.01L * u * (std::abs(static_cast<long double>(out.log_normaliser)) + depth + kExpRoundoffs);
  if (in.q > 0) add_features(in, p, out);
  return out;
}

template <class Real>
struct Product {
  std::vector<Real> value;
  long double error = 0.0L;
};

/// Σ w_i (x_i − c)<x_i − c, v> for the centre c = x_pivot + offset.
template <class Real>
Product<Real> product_of(const OracleInput& in, const Posterior<Real>& p, const std::vector<Real>& offset,
                         const double* v) {
  constexpr long double u = unit_roundoff<Real>();
  const double* best = in.atom(p.pivot);
  const auto from_centre = [&](std::size_t i, std::size_t k) {
    return (Real(in.atom(p.kept[i])[k]) - best[k]) - offset[k];
  };
  std::vector<Real> inner(p.size());
  std::vector<long double> distance(p.size());
  for (std::size_t i = 0; i < p.size(); ++i) {
    inner[i] = ordered_sum<Real>(in.d, [&](std::size_t k) { return from_centre(i, k) * v[k]; });
    distance[i] = std::sqrt(ordered_sum<long double>(in.d, [&](std::size_t k) {
      const long double r = static_cast<long double>(from_centre(i, k));
      return r * r;
    }));
  }
  Product<Real> out;
  out.value.resize(in.d);
  for (std::size_t k = 0; k < in.d; ++k)
    out.value[k] =
        ordered_sum<Real>(p.size(), [&](std::size_t i) { return p.weight[i] * inner[i] * from_centre(i, k); }) / p.sum;
  const long double shift = norm_of<Real>(offset), length = norm_of<double>({v, in.d}), size = norm_of<Real>(out.value);
  const long double depth = 2.0L * sum_depth(p.size()) + sum_depth(in.d) + 20;
  const long double rounding = ordered_sum<long double>(p.size(), [&](std::size_t i) {
    return static_cast<long double>(p.weight[i]) * distance[i] * (depth * distance[i] + 6 * shift);
  });
  out.error = 1.01L * u * rounding / static_cast<long double>(p.sum) * length + p.left_out +
              p.moved([&](std::size_t i) { return distance[i] * std::abs(static_cast<long double>(inner[i])) + size; });
  return out;
}

}  // namespace fslens::test
