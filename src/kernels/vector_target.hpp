// Which instruction set Highway's kernels run on: for tests, and to say it.
#pragma once

#include <string>
#include <vector>

namespace fslens::kernels {

/// Instruction sets that the kernels were compiled for and this processor has, best first, e.g. "AVX3_DL", "AVX2", "SSE4".
std::vector<std::string> vector_targets();

/// Runs the kernels on one of vector_targets() from now on; nullptr: on the best again. False if there is no such target.
bool force_vector_target(const char* name);

}  // namespace fslens::kernels
