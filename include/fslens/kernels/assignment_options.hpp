// How exactly the soft assignment is asked for, and whether it may skip.
#pragma once

namespace fslens {

/// Largest a‖δm‖/(s√d) = s‖δscore‖/√d that a caller asks for: the error of a denoiser's mean, relative to the noise of the score.
inline constexpr double kDoubleTolerance = 1e-12;
inline constexpr double kSingleTolerance = 1e-6;

/// What a lens and its denoisers ask of every soft assignment.
struct AssignmentOptions {
  double tolerance = kDoubleTolerance;  ///< on a‖δm‖/(s√d), > 0
  bool exact_scan = false;              ///< compute every atom in full in every step, with nothing left out after a cheaper look. For comparison
};

}  // namespace fslens
