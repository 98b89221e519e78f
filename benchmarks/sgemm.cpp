#include "sgemm.hpp"

#include <cblas.h>
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>

#include <cstdio>
#include <stdexcept>

namespace fslens::benchmarks {
namespace {

void onednn_sgemm(char transpose_b, std::size_t m, std::size_t n, std::size_t k, float alpha, const float* a, const float* b,
                  std::size_t b_stride, float* c) {
  const auto size = [](std::size_t value) { return static_cast<dnnl_dim_t>(value); };
  const dnnl_status_t status =
      dnnl_sgemm('N', transpose_b, size(m), size(n), size(k), alpha, a, size(k), b, size(b_stride), 0.0F, c, size(n));
  if (status != dnnl_success) throw std::runtime_error("oneDNN: dnnl_sgemm failed with status " + std::to_string(status));
}

void openblas_sgemm(CBLAS_TRANSPOSE transpose_b, std::size_t m, std::size_t n, std::size_t k, float alpha, const float* a,
                    const float* b, std::size_t b_stride, float* c) {
  const auto size = [](std::size_t value) { return static_cast<blasint>(value); };
  cblas_sgemm(CblasRowMajor, CblasNoTrans, transpose_b, size(m), size(n), size(k), alpha, a, size(k), b, size(b_stride), 0.0F, c,
              size(n));
}

}  // namespace

std::string_view name_of(SgemmLibrary library) { return library == SgemmLibrary::openblas ? "openblas" : "onednn"; }

void multiply_by_transposed(SgemmLibrary library, std::size_t m, std::size_t n, std::size_t k, float alpha, const float* a,
                            const float* b, float* c) {
  if (library == SgemmLibrary::openblas)
    openblas_sgemm(CblasTrans, m, n, k, alpha, a, b, k, c);
  else
    onednn_sgemm('T', m, n, k, alpha, a, b, k, c);
}

void multiply(SgemmLibrary library, std::size_t m, std::size_t n, std::size_t k, const float* a, const float* b, float* c) {
  if (library == SgemmLibrary::openblas)
    openblas_sgemm(CblasNoTrans, m, n, k, 1.0F, a, b, n, c);
  else
    onednn_sgemm('N', m, n, k, 1.0F, a, b, n, c);
}

std::string describe(SgemmLibrary library) {
  if (library == SgemmLibrary::openblas)
    return std::string(openblas_get_config()) + ", kernel " + openblas_get_corename() + ", " +
           std::to_string(openblas_get_num_threads()) + " threads";
  const dnnl_version_t* version = dnnl_version();
  // dnnl_cpu_isa_t in hexadecimal: its names are not in the C interface.
  char isa[32];
  std::snprintf(isa, sizeof isa, "0x%x", static_cast<unsigned>(dnnl_get_effective_cpu_isa()));
  return "oneDNN " + std::to_string(version->major) + "." + std::to_string(version->minor) + "." + std::to_string(version->patch) +
         ", instruction set " + isa + ", " + std::to_string(omp_get_max_threads()) + " threads";
}

}  // namespace fslens::benchmarks
