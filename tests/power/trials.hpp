// Courts before which runs with one fault are judged, one after another.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "fslens/diagnosis/court.hpp"
#include "power/planted_faults.hpp"

namespace fslens::test {

/// Exact draws with something done to them.
class TamperedStates final : public Trial {
 public:
  using Plant = std::function<void(const Problem&, double t, Matrix& x, const RandomStream& stream)>;
  TamperedStates(Problem problem, std::vector<double> times, std::size_t particles, Plant plant, std::uint64_t seed);
  SamplerDiagnosis judge(std::uint64_t run) override;

 private:
  SilentObserver observer_;
  Problem problem_;
  std::vector<double> times_;
  std::size_t particles_;
  Plant plant_;
  RandomStream stream_;
  Court court_;
};

/// A sampler that is run.
class TamperedSampler final : public Trial {
 public:
  using Make = std::function<Contestant(const Problem&)>;
  TamperedSampler(Problem problem, const Make& make, std::uint64_t seed);
  SamplerDiagnosis judge(std::uint64_t run) override;

 private:
  SilentObserver observer_;
  Problem problem_;
  Contestant contestant_;
  RandomStream stream_;
  Court court_;
};

/// A measurement of one problem, judged with another: exact draws of the wrong posterior.
class WrongProblem final : public Trial {
 public:
  WrongProblem(const Problem& right, Problem wrong, std::uint64_t seed);
  SamplerDiagnosis judge(std::uint64_t run) override;

 private:
  SilentObserver observer_;
  Problem wrong_;
  RandomStream stream_;
};

}  // namespace fslens::test
