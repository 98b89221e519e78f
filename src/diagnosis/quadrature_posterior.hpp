// The posterior of an analytic prior under a nonlinear operator, by quadrature in one or two dimensions.
#pragma once

#include <span>

#include "fslens/diagnosis/analytic_problem.hpp"

namespace fslens {

/// See exact_posterior. @throws InvalidArgument
ExactPosterior quadrature_posterior(const AnalyticProblem& problem, std::span<const double> times);

}  // namespace fslens
