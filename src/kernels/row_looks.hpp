// What a probe said of a row, for the steps that follow at nearly the same noise.
//
// Only estimates come from here: which way a row is computed, and how many digits that takes. What is proven is proven of the state at hand.
#pragma once

#include <cstdint>
#include <vector>

#include "fixed_point_pass.hpp"

namespace fslens::kernels {

/// s/a: what a state is noisy by, in units of the atoms.
double noise_of(const SoftAssignmentRequest& request);
/// −‖x − a y‖²/2s² for a row x.
double bare_logit(const SoftAssignmentRequest& request, std::size_t row, std::span<const double> y);

class RowLooks {
 public:
  /// Room for this many rows, within reason.
  void prepare(std::size_t rows);
  void clear();

  /// Appends what was seen of the row to `probe`, with the references computed anew. @return false, and nothing, if it was not probed at
  /// about this noise, or is a different state by now
  bool recall(const SoftAssignmentRequest& request, std::size_t row, Probe& probe) const;
  /// `probe` is about the row at this position.
  void keep(const SoftAssignmentRequest& request, std::size_t row, const Probe& probe, std::size_t position);

  /// Had the row too many candidates when it was last screened, at hardly more noise?
  bool was_crowded(std::size_t row, double noise) const;
  void set_crowded(std::size_t row, bool crowded, double noise);

 private:
  struct Look {
    double noise = 0.0;              // s/a, 0: never probed
    double crowded_noise = 0.0;      // s/a at which the row was crowded, 0: it was not
    double live_share = 0.0, variance = 0.0;
    double crowding[2] = {}, peak[2] = {};  // peak: reference less the log of the mean weight
    std::uint32_t atom[2] = {};      // whose logits the references were
    double lead[2] = {};             // of that atom, without its log-weight, over one at x̄
  };
  std::vector<Look> looks_;
};

}  // namespace fslens::kernels
