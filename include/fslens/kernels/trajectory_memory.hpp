// What soft assignments of the same particles at neighbouring times remember of each other.
#pragma once

#include <memory>

namespace fslens {

namespace kernels {
class RowMemory;
}

/// Lower bounds on the distances from each row of x to clusters of atoms, from the last time that they were looked at. A state moves little
/// from one step of a sampler to the next, so most bounds still exclude their cluster there, and it is not looked at again.
///
/// Give one to the requests of a trajectory (SoftAssignmentRequest::memory) that have the same atoms and log-weights, which must not change
/// meanwhile; row b is taken for the same particle each time. If it is another, or has moved far, the bounds say so, and everything is
/// looked at again: nothing that is remembered is trusted without proof. Requests with other atoms or log-weights begin anew. It fills
/// itself only where few atoms count and there are many, and takes at most 54 MiB, beside an index of the atoms (4 bytes an atom, 76 while it is made).
///
/// The last bits of a result may depend on what was asked before; its error bounds hold all the same. But with fewer than 4,096 atoms only
/// a memory that was made for one run has anything to remember: what the probes of its rows said, which spares a few hundredths. One call
/// at a time uses a memory: a call that finds it busy goes without.
class TrajectoryMemory {
 public:
  /// What its calls have to do with each other.
  enum class Calls { any, one_run };
  explicit TrajectoryMemory(Calls calls = Calls::any);
  ~TrajectoryMemory();
  TrajectoryMemory(const TrajectoryMemory&) = delete;
  TrajectoryMemory& operator=(const TrajectoryMemory&) = delete;

  kernels::RowMemory& rows() { return *rows_; }  ///< for soft_assignment

 private:
  std::unique_ptr<kernels::RowMemory> rows_;
};

}  // namespace fslens
