// Samplers of a test's problem, as the command line names them.
#pragma once

#include <memory>
#include <string>

#include "diagnosis/problems.hpp"
#include "fslens/samplers/registry.hpp"

namespace fslens::test {

inline std::unique_ptr<PosteriorSampler> sampler_of(const Problem& problem, const std::string& text) {
  return make_sampler(parse_sampler_spec(text), {problem.lens->denoiser(Measure::prior), problem.lens->denoiser(Measure::posterior),
                                                 problem.likelihood, problem.integrator, problem.eta});
}

}  // namespace fslens::test
