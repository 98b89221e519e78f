// Simultaneous bands for an empirical distribution function, exact at any sample size.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "fslens/core/matrix.hpp"

namespace fslens {

/// P(low_i ≤ N_i ≤ high_i for every i), N_i the number of n independent draws that fall below a point z_i where the
/// distribution function is F_i = cumulative[i].
///
/// Counts in the cells between points are multinomial: independent Poisson counts with means n (F_{i+1} − F_i), given that
/// they add up to n. The path N_i is therefore a Markov chain whose steps do not depend on where it is, and the probability
/// is a product of banded convolutions, divided by P(Poisson(n) = n).
/// @shape cumulative, low, high [K], cumulative ascending in (0, 1)   @cost O(K W √n), W the width of the band
/// @throws InvalidArgument on wrong shapes, n = 0 or a cumulative that does not ascend in (0, 1)
/// @source khmaladze2001calculation; moscovich2017fast
double non_crossing_probability(std::size_t n, std::span<const double> cumulative, std::span<const std::size_t> low,
                                std::span<const std::size_t> high);

/// Bands that the whole empirical distribution function of n draws stays within with a given probability.
struct EcdfBand {
  std::vector<double> low, high;  ///< of F̂ at each point, ends included [K]
  double gamma = 0.0;             ///< pointwise: P(N_i < low), P(N_i > high) ≤ gamma/2 at each point alone
  double coverage = 0.0;          ///< simultaneous, exact, ≥ what was asked for

  bool contains(std::span<const double> ecdf) const;
};

/// The narrowest bands of equal pointwise level that hold at all points together with probability ≥ confidence:
/// binomial quantiles at gamma/2 and 1 − gamma/2, gamma by bisection of non_crossing_probability.
/// Valid for independent draws from the law with that cumulative, discrete or not, at any n.
/// @throws InvalidArgument as above, or if confidence is not in (0, 1)   @source sailynoja2022graphical
EcdfBand simultaneous_ecdf_band(std::size_t n, std::span<const double> cumulative, double confidence);

/// The quantile of max_i |F̂(z_i) − F_i| under the law itself: the smallest k/n with P(max ≤ k/n) ≥ probability.
/// @throws InvalidArgument as above
double ecdf_deviation_quantile(std::size_t n, std::span<const double> cumulative, double probability);

/// Half the width of the band F̂ ± ε that holds the true distribution function everywhere with probability ≥ confidence, whatever it
/// is, continuous or not: ε = √(log(2/(1 − confidence)) / 2n). @source massart1990tight
double dkw_half_width(std::size_t n, double confidence);

}  // namespace fslens
