// A particle's vector, or an atom's, as digits of base 256, a byte each, the way that the integer products read them. One copy an instruction
// set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "integer_product.hpp"

namespace fslens::kernels {

/// max_k |q_k|.
double vector_largest(const double* q, std::size_t size);

/// q = unit Σ_l 256^{num_digits − 1 − l} digit_l + δq in balanced digits: digit l of q_k goes to out[l · digit_stride + (k/4) · kStepBytes + k%4]
/// (the place of one lane), rounded[k] ← q − δq, and the sum of δq_k² is returned. |q/unit| ≤ 127 · 256^{num_digits − 1}; `forward` = 1/unit.
double vector_digits(const double* q, std::size_t size, std::size_t num_digits, double forward, double unit, std::int8_t* out,
                     std::size_t digit_stride, double* rounded);

/// n = round((x_k − low) · inverse), held to [0, 256^num_planes − 1]: byte m of it, the highest first, goes to out[m][k]. `size` is a
/// multiple of 8.
void vector_planes(const double* x, std::size_t size, double low, double inverse, std::size_t num_planes, std::uint8_t* const* out);

}  // namespace fslens::kernels
