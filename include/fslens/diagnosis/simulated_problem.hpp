// A problem with another measurement, simulated from its own prior: the truth behind it is known.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "fslens/diagnosis/problem.hpp"

namespace fslens {

/// y = A(x_0) + noise, the noise being particle `replicate` of the stream. @shape x0 [d], result [m]
std::vector<double> simulated_measurement(const ForwardOperator& forward, const GaussianNoise& noise, std::span<const double> x0,
                                          const RandomStream& stream, std::uint64_t replicate);

/// A truth that a measurement may be simulated from.
struct Truth {
  std::vector<double> x0;              ///< [d]
  std::size_t component = 0;           ///< of the prior
  std::optional<std::size_t> left_out; ///< the component that x0 is, and that its measurement must be judged without
};

/// Where atoms stand for a larger population (`is_population` is false) one of them, which is to be left out: it would be its own, all too
/// certain, answer. Where the prior is known completely any draw of it.
Truth draw_truth(const Problem& problem, const RandomStream& stream, std::uint64_t replicate);

struct SimulatedProblem {
  Problem problem;                         ///< as the given one, with the lens of the simulated y
  std::vector<double> truth;               ///< x_0 behind y [d]
  std::size_t component = 0;               ///< of the prior that it was drawn from
  bool left_out = false;                   ///< the atom x_0 is not among the atoms that y is judged with
};

/// Draws a truth and y from it. Where the prior is known completely exact posterior draws are then exactly calibrated. Replicates are
/// independent; the same (stream, replicate) gives the same problem.
/// @cost as the lens: the likelihood of y at every atom
SimulatedProblem simulate_problem(const Problem& problem, const RandomStream& stream, std::uint64_t replicate);

}  // namespace fslens
