// The soft assignment of particles to atoms: the one computation that everything in fslens is made of.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "fslens/core/matrix.hpp"
#include "fslens/kernels/assignment_options.hpp"
#include "fslens/kernels/atom_table.hpp"
#include "fslens/kernels/trajectory_memory.hpp"

namespace fslens {

/// Per-atom values φ_i whose weighted mean is wanted, made a range of atoms at a time so that N × q need not be stored.
struct AtomFeatures {
  std::size_t size = 0;  ///< q
  /// Writes φ_i for i in [first, first + count): values row-major [count, q].
  std::function<void(std::size_t first, std::size_t count, double* values)> fill;
  const double* values = nullptr;  ///< the values of all atoms [N, q], where they are stored, or nullptr
  double largest = 0.0;            ///< max |φ_ij| of the stored values
};

/// directions.row(j) ← v of particle particles[j], given its moments under measure 0. Called from several threads at once, each
/// particle at least once (again where it is computed more precisely). @shape means [P, d], feature_means [P, q], directions [P, d]
using DirectionOfMoments = std::function<void(std::span<const std::size_t> particles, ConstBatchView means,
                                              ConstBatchView feature_means, BatchView directions)>;

/// tilts.row(j) ← u of particle particles[j], given its feature means under measure 0. As DirectionOfMoments.
/// @shape feature_means [P, features->size], tilts [P, q]
using TiltOfMoments = std::function<void(std::span<const std::size_t> particles, ConstBatchView feature_means, BatchView tilts)>;

/// A mean that is guided along few directions: m + C Pᵀ u = Σ w_i (1 + ⟨P(x_i − m), u⟩) x_i, with u made of moments of P x. One sum over
/// the atoms instead of two, and P x in place of x where it is enough.
struct GuidedAssignment {
  MatrixView<const double> projection;  ///< P [q, d]; the first 1 + q features of the request must be 1 and P(x_i − x̄)
  TiltOfMoments tilt_of;
};

/// For each particle x and each measure μ ∈ {0, 1}: responsibilities w_i ∝ exp(log_weights[μ][i] − ‖x − a x_i‖² / 2s²).
///
/// Log-weights are added to the logits; probabilities are never multiplied, so a likelihood may favour atoms whose prior
/// responsibility underflows. One sweep over the atoms serves both measures.
struct SoftAssignmentRequest {
  const AtomTable* atoms = nullptr;
  ConstBatchView x;   ///< states, less the schedule's shift b(t) [B, d]
  double a = 1.0;     ///< signal scale ≥ 0
  double s2 = 1.0;    ///< noise variance > 0
  std::vector<std::span<const double>> log_weights;  ///< one or two measures, each [N]; −∞ allowed, not everywhere
  bool want_mean = true;
  bool want_variance = false;
  const AtomFeatures* features = nullptr;
  ConstBatchView direction;       ///< v [B, d] or empty: asks for C v under measure 0
  ConstBatchView direction_mean;  ///< m under measure 0 [B, d], needed with `direction`
  DirectionOfMoments direction_of;  ///< instead of `direction`: asks for C v where v depends on the moments; needs want_mean
  const GuidedAssignment* guided = nullptr;  ///< asks for it, and nothing else, under one measure; needs `features`
  double tolerance = kDoubleTolerance;  ///< on a‖δm‖/(s√d) under every measure, > 0; a guided mean's error counts in units
                                        ///< of the largest factor 1 + |⟨P(x_i − m), u⟩| that there may be
  bool exact_scan = false;              ///< compute every atom in full, with nothing left out after a cheaper look. For comparison
  TrajectoryMemory* memory = nullptr;   ///< of the trajectory that this request is a step of
};

/// Each field comes with a bound on its error: rounding and everything skipped, proven, not estimated.
struct SoftAssignmentMoments {
  std::vector<double> log_normaliser;        ///< log Σ_i exp(log_weights[i] − ‖x − a x_i‖²/2s²) [B]
  Matrix mean;                               ///< Σ w_i x_i [B, d]
  std::vector<double> variance;              ///< Σ w_i ‖x_i − m‖² [B]
  Matrix feature_mean;                       ///< Σ w_i φ_i [B, q]
  std::vector<double> log_normaliser_error;  ///< ≥ |computed − exact| [B]
  std::vector<double> mean_error;            ///< ≥ ‖computed − exact‖₂ [B]
  std::vector<double> variance_error;        ///< ≥ |computed − exact| [B]
  std::vector<double> feature_error;         ///< ≥ max_j |computed − exact|, if the φ_i were exact [B]
};

/// Particles that each way of computing served, and how much it looked at.
struct SoftAssignmentWork {
  std::size_t fixed_point = 0;  ///< particles done by integer products
  std::size_t dense = 0;        ///< by float64 tiles
  std::size_t direct = 0;       ///< by direct differences over candidates
  double atoms_seen = 0.0;      ///< particle–atom pairs whose logit was computed at any precision
  double candidates = 0.0;      ///< pairs computed by direct differences
};

struct SoftAssignmentResult {
  std::vector<SoftAssignmentMoments> measures;
  Matrix covariance_product;                     ///< C v [B, d]
  std::vector<double> covariance_product_error;  ///< ≥ ‖computed − exact‖₂ for the v that was used [B]
  Matrix guided_mean;                            ///< m + C Pᵀ u [B, d]
  std::vector<double> guided_mean_error;         ///< ≥ ‖computed − exact‖₂ for the u that was used [B]
  SoftAssignmentWork work;
};

/// The production path. Streams over blocks of atoms: memory O(B·d + block) beside the atoms.
///
/// Each particle is computed in the cheapest way whose proven error a‖δm‖/(s√d) is within the tolerance:
///   - few atoms seem to count: a screen of all atoms with one-byte products and a proven error, then direct differences in float64
///     over the atoms that may count. With a memory, the screen looks only at those atoms that a step may have brought near;
///   - many do, and the tolerance is 1e-8 or more: products of queries and weights as digits of base 256 with the atoms as bytes, exact
///     as far as the digits go, float32 in between (AMX or AVX-512 VNNI);
///   - otherwise float64 tiles, and where their rounding is too much, a float64 screen and direct differences.
/// If the last cannot meet the tolerance either, its result stands, and its bound says so. A row of x that is not finite gives NaN in
/// that row only. The bits do not depend on the number of threads; with a memory, the last of them may depend on what it saw before.
/// @throws InvalidArgument
SoftAssignmentResult soft_assignment(const SoftAssignmentRequest& request);

/// The oracle: direct differences in long double, one particle and atom at a time, two passes. For tests.
SoftAssignmentResult soft_assignment_oracle(const SoftAssignmentRequest& request);

/// argmin_i ‖x_b − a x_i‖ over the atoms whose log-weight is finite (all, if `log_weights` is empty); ties go to the first.
/// atoms.count() for a row that is not finite. @shape x [B, d], result [B]
std::vector<std::size_t> nearest_atoms(const AtomTable& atoms, ConstBatchView x, double a,
                                       std::span<const double> log_weights = {});

/// The instruction set that the tiles run on here, e.g. "AVX3_DL + AMX".
std::string kernel_target_name();

}  // namespace fslens
