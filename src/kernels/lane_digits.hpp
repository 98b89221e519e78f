// Weights of logits, and values as digits of base 256, a byte each, the way that the integer products read them. One copy an instruction set.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "integer_product.hpp"
#include "lane_kernels.hpp"

namespace fslens::kernels {

/// Error of the float32 powers of two here: relative, proven by trying every float32 in [−125.5, 0] (tests/kernels).
inline constexpr double kPowerError = 0x1p-23;
/// Below this, in powers of two, a weight is 0, and arguments count as this: beside anything that is kept, 2^{−125.5} is nothing, and it is
/// the last before float32 loses digits, and processors their speed: with subnormal weights a pass at t = 0.4 took a quarter longer.
inline constexpr float kLowestArgument = -125.5f;
/// Four atoms whose arguments are all below this, in all lanes of a vector, are taken as 0 at once.
inline constexpr float kDeadArgument = -40.0f;
/// 2^kDeadArgument.
inline const double kDeadWeight = std::exp2(static_cast<double>(kDeadArgument));

/// weights[r][lane] = 2^(bits · logits − top[lane]), rounded once before the power; square[lane] += Σ w (log of what is powered)².
struct WeightTask {
  const float* logits = nullptr;   ///< [rows][kLanes], rows a multiple of 4, in steps of `bits` powers of two
  std::size_t rows = 0;
  float bits = 1.0f;
  const float* top = nullptr;      ///< [kLanes], in powers of two
  float* weights = nullptr;        ///< [rows][kLanes]
  double* square = nullptr;        ///< [kLanes]
  std::uint8_t* live = nullptr;    ///< [rows / 4] or nullptr: set to 1 where one of four rows has a weight, else left
  const float* norms = nullptr;    ///< [rows], or nullptr: second[lane] += Σ w norms[r], a sum in float32
  double* second = nullptr;        ///< [kLanes]
};
void lane_weights(const WeightTask& task);

/// Relative error of DigitTask's moment in float32: sums of kStepBytes terms of one sign, their factors rounded.
inline constexpr double kRoughMoment = 1e-5;

/// Values as digits: n = round(factor[lane] · value) in balanced digits of base 256, `num_digits` of them, |factor · value| ≤
/// 127 · 256^(num_digits − 1). sum += Σ n, moment += Σ n aux[r], lost += Σ |factor · value − n|. For values ≥ 0 the moment may be taken in
/// float32 instead, within kRoughMoment of it.
struct DigitTask {
  const float* values = nullptr;       ///< [rows][kLanes], rows a multiple of kStepBytes
  std::size_t rows = 0;
  const float* factor = nullptr;
  const double* aux = nullptr;         ///< [rows] or nullptr
  const float* rough_aux = nullptr;    ///< [rows] or nullptr: instead of aux
  std::size_t num_digits = 4;
  std::int8_t* digits = nullptr;       ///< [num_digits][rows / 4][kLanes][4]
  std::size_t digit_stride = 0;
  std::uint8_t* live = nullptr;        ///< [rows / kStepBytes]: set to 1 where a digit is not 0, else left
  double* sum = nullptr;               ///< [kLanes]
  double* moment = nullptr;
  double* lost = nullptr;
};
void lane_digits(const DigitTask& task);

}  // namespace fslens::kernels
