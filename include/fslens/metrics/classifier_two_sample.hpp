// Classifier two-sample test (C2ST): can a classifier tell two samples apart, point by point?
//
// The classifier is k nearest neighbours, so that it sees differences of any shape where points lie densely enough: in few dimensions. Its
// held-out accuracy is ½ if the laws are the same, and at most (1 + TV)/2, so 2·accuracy − 1 is a lower bound on the total variation between
// them, up to its interval. An accuracy of ½ says that this classifier sees nothing, not that there is nothing: in more than about ten
// dimensions neighbours are all equally far and it is nearly blind; differences of a few percent of the mass need thousands of pairs.
#pragma once

#include <cstddef>

#include "fslens/core/matrix.hpp"
#include "fslens/metrics/intervals.hpp"
#include "fslens/rng/stream.hpp"

namespace fslens {

struct ClassifierOptions {
  std::size_t folds = 5;           ///< of cross-validation, ≥ 2
  std::size_t neighbours = 0;      ///< k, odd; 0: the largest odd number ≤ √(training points), at least 1
  std::size_t permutations = 199;  ///< of the p-value, ≥ 1
  double confidence = 0.99;        ///< of the interval
};

struct ClassifierTwoSample {
  double accuracy = 0.0;  ///< held out, over all points of both samples
  /// accuracy ± z sd/√R over pairs. It takes pairs for independent: that their classifiers share training points is left out.
  ConfidenceInterval interval;
  /// P(accuracy of exchanged pairs ≥ accuracy), (1 + #)/(1 + permutations): valid at any R, whatever the dependence within pairs.
  double p_value = 1.0;
  std::size_t neighbours = 0;
};

/// Rows r of both samples are a pair, such as the truth and one draw for one measurement y_r, with features of y_r in both. Pairs are
/// independent of each other; within one, if the laws are the same, the two are exchangeable. A pair stays in one fold, so that no point is
/// a training point of its partner, and the permutations exchange the labels within pairs: exactly what leaves the joint law unchanged.
/// Features are divided by their standard deviation over both samples; a constant one is left out.
/// @shape first, second [R, d], R ≥ 2 folds   @cost O(R² d + R k permutations)
/// @throws InvalidArgument on wrong shapes, values that are not finite, or options out of range   @source lopezpaz2017revisiting
ClassifierTwoSample classifier_two_sample(ConstBatchView first, ConstBatchView second, const RandomStream& stream,
                                          const ClassifierOptions& options = {});

}  // namespace fslens
