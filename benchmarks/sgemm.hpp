// The two matrix products that the computation is made of, by the two fastest single-precision libraries of the distribution.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace fslens::benchmarks {

enum class SgemmLibrary { openblas, onednn };
inline constexpr std::array kSgemmLibraries{SgemmLibrary::openblas, SgemmLibrary::onednn};

std::string_view name_of(SgemmLibrary library);

/// c ← alpha a bᵀ: the scores X Aᵀ of particles and atoms. @shape a [m, k], b [n, k], c [m, n], all row-major
void multiply_by_transposed(SgemmLibrary library, std::size_t m, std::size_t n, std::size_t k, float alpha, const float* a,
                            const float* b, float* c);
/// c ← a b: the weighted sums W A of atoms. @shape a [m, k], b [k, n], c [m, n], all row-major
void multiply(SgemmLibrary library, std::size_t m, std::size_t n, std::size_t k, const float* a, const float* b, float* c);

/// What runs: version, kernel, threads; e.g. "OpenBLAS 0.3.21 SkylakeX, 2 threads".
std::string describe(SgemmLibrary library);

}  // namespace fslens::benchmarks
