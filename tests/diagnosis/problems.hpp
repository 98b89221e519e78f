// Small problems for the tests of the diagnosis, written as problem files are.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fslens/core/observer.hpp"
#include "fslens/diagnosis/problem.hpp"
#include "fslens/io/problem_file.hpp"

namespace fslens::test {

/// Atoms −1.8, 0.2, 2.2 with y midway between two: posterior weights .5, .5, 2e-6.
inline constexpr std::string_view kThreeAtoms = R"(
[prior]
atoms = [[-1.8], [0.2], [2.2]]
complete = true
[operator]
kind = "identity"
[noise]
sigma = 0.6
[measurement]
y = [-0.8]
[grid]
steps = 60
[run]
particles = 2000
record = 8
)";

/// Twelve atoms in the plane in three labelled clumps, x_1 measured: clump 2 is excluded by the data.
inline constexpr std::string_view kLabelledPlane = R"(
[prior]
atoms = [[-1.1, -1.0], [-0.9, -1.2], [-1.0, -0.9], [-1.2, -1.1],
         [-1.0, 1.0], [-0.8, 1.2], [-1.1, 0.9], [-0.9, 1.1],
         [2.0, 0.0], [2.2, 0.1], [1.9, -0.1], [2.1, 0.2]]
labels = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
complete = true
[operator]
kind = "matrix"
matrix = [[1.0, 0.0]]
[noise]
sigma = 0.4
[measurement]
y = [-1.0]
[grid]
steps = 60
[run]
particles = 2000
record = 8
)";

inline constexpr std::string_view kGaussian = R"(
[prior]
kind = "gaussian"
mean = [0.5]
cov = [[0.6]]
[operator]
kind = "matrix"
matrix = [[1.2]]
bias = [-0.1]
[noise]
sigma = 0.25
[measurement]
y = [0.8]
[grid]
steps = 60
[run]
particles = 2000
record = 8
)";

/// One unknown, measured forty times: what the noise is can be told from y.
inline constexpr std::string_view kRepeated = R"(
[prior]
kind = "gaussian"
mean = [0.5]
cov = [[0.6]]
[operator]
kind = "matrix"
matrix = [
  [1.0], [0.5], [1.0], [0.5], [1.0], [0.5], [1.0], [0.5], [1.0], [0.5],
  [1.0], [0.5], [1.0], [0.5], [1.0], [0.5], [1.0], [0.5], [1.0], [0.5],
  [1.0], [0.5], [1.0], [0.5], [1.0], [0.5], [1.0], [0.5], [1.0], [0.5],
  [1.0], [0.5], [1.0], [0.5], [1.0], [0.5], [1.0], [0.5], [1.0], [0.5],
]
[noise]
sigma = 0.5
[measurement]
from_prior = true
[grid]
steps = 60
[run]
particles = 2000
record = 8
)";

inline ProblemSpec spec_from(std::string_view text, const std::vector<std::string>& overrides = {}) {
  return parse_problem(text, "test.toml", "", overrides);
}

inline Problem build(const ProblemSpec& spec) {
  SilentObserver observer;
  return build_problem(spec, "test", observer);
}

inline Problem problem_from(std::string_view text, const std::vector<std::string>& overrides = {}) {
  return build(spec_from(text, overrides));
}

}  // namespace fslens::test
