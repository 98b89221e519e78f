// What happens to each particle–atom pair between the integer products: logits, weights, digits. One copy an instruction set.
//
// Arrays are [atom][lane]: the sixteen particles of a lane group side by side, so that maxima and sums over the atoms stay in
// the lanes of a vector.
#pragma once

#include <cstddef>
#include <cstdint>

#include "integer_product.hpp"

namespace fslens::kernels {

/// Error of the float32 exponential here: relative, proven by trying every float32 in [−87, 0] (tests/kernels).
inline constexpr double kExpError = 0x1p-23;
/// Below this the weight is 0, and arguments count as this: beside anything that is kept, e^{−87} is nothing, and it is the last before
/// float32 loses digits, and processors their speed: with subnormal weights a pass at t = 0.4 took a quarter longer.
inline constexpr float kLowestArgument = -87.0f;
/// Four atoms whose arguments are all below this are taken as 0 at once.
inline constexpr float kDeadArgument = -40.0f;

/// The integer sums of one strip and one group, by order; scale · Σ_o 256^{−o} ints[o].
struct StripSums {
  const std::int32_t* ints = nullptr;  ///< [orders] at `stride` from each other: [kStripRows][kLanes]
  std::size_t orders = 1;
  std::size_t stride = 0;
};

/// logits[m][r][lane] = float32(scale[lane] · sums(r, lane) + offset[m][r] − reference[m][lane]); largest[m] follows.
struct LogitTask {
  StripSums sums;
  const double* scale = nullptr;
  const double* reference[2] = {};
  const double* offsets[2] = {};   ///< [kStripRows]; nullptr for a second measure that is not there
  float* logits[2] = {};
  float* largest[2] = {};          ///< [kLanes], raised
};
void lane_logits(const LogitTask& task);

/// weights[r][lane] = exp(logits − top[lane]); square[lane] += Σ w (logit − top)².
void lane_weights(const float* logits, std::size_t rows, const float* top, float* weights, double* square);

/// values[r][lane] = weights · (scale[lane] · sums(r, lane) − shift[lane]); largest[lane] ← max |value|.
void lane_products(const StripSums& sums, const double* scale, const double* shift, const float* weights, float* values,
                   float* largest);

/// Values as digits: n = round(factor[lane] · value) in balanced digits of base 256, `num_digits` of them, |factor · value| ≤
/// 127 · 256^(num_digits − 1). sum += Σ n, moment += Σ n aux[r], lost += Σ |factor · value − n|.
struct DigitTask {
  const float* values = nullptr;       ///< [rows][kLanes], rows a multiple of kStepBytes
  std::size_t rows = 0;
  const float* factor = nullptr;
  const double* aux = nullptr;         ///< [rows] or nullptr
  std::size_t num_digits = 4;
  std::int8_t* digits = nullptr;       ///< [num_digits][rows / 4][kLanes][4]
  std::size_t digit_stride = 0;
  std::uint8_t* live = nullptr;        ///< [rows / kStepBytes]: set to 1 where a digit is not 0, else left
  double* sum = nullptr;               ///< [kLanes]
  double* moment = nullptr;
  double* lost = nullptr;
};
void lane_digits(const DigitTask& task);

/// totals[r][lane] += unit[lane] · sums(r, lane) over a strip.
void lane_add(const StripSums& sums, const double* unit, double* totals);

/// totals[j][lane] += Σ_r weights[live[r]][lane] · features[live[r]][j] for j < columns (a multiple of 4).
void lane_features(const float* weights, const std::uint32_t* live, std::size_t num_live, const double* features,
                   std::size_t stride, std::size_t columns, double* totals);

/// q = unit Σ_l 256^{num_digits − 1 − l} digit_l + δq in balanced digits: digit l of q_k goes to out[l · digit_stride + (k/4) · kStepBytes + k%4]
/// (the place of one lane), rounded[k] ← q − δq, and the sum of δq_k² is returned. |q/unit| ≤ 127 · 256^{num_digits − 1}; `forward` = 1/unit.
double vector_digits(const double* q, std::size_t size, std::size_t num_digits, double forward, double unit, std::int8_t* out,
                     std::size_t digit_stride, double* rounded);

/// out[k][lane] = *(words + offsets[lane] + k · kLanes), k < count, in words of four bytes: digits of lanes from several groups as one
/// group. @shape out [count][kLanes]
void lane_gather(const std::int32_t* words, const std::int32_t* offsets, std::size_t count, std::int32_t* out);

/// n = round((x_k − low) · inverse), held to [0, 256^num_planes − 1]: byte m of it, the highest first, goes to out[m][k]. `size` is a
/// multiple of 8.
void vector_planes(const double* x, std::size_t size, double low, double inverse, std::size_t num_planes, std::uint8_t* const* out);

/// An atom of a strip that can matter to a lane, as the screen saw it.
struct Candidate {
  std::uint32_t row = 0;
  std::uint32_t lane = 0;
  float logit[2] = {};
};

/// One strip of a screen: appends to `found` (room for kStripRows · kLanes) the pairs with a logit at or above lowest[m][lane], and
/// raises best[m][lane] and, where asked for, best_bare[lane], which is the best of the logits without the atoms' log-weights. Returns how many.
struct ScreenTask {
  StripSums sums;                      ///< order 0 alone
  const float* scale = nullptr;
  const float* offsets[2] = {};
  const float* lowest[2] = {};
  float* best[2] = {};
  const float* bare_offsets = nullptr; ///< offsets less the log-weights [kStripRows], or nullptr
  float* best_bare = nullptr;          ///< [kLanes], raised
};
std::size_t lane_screen(const ScreenTask& task, Candidate* found);

}  // namespace fslens::kernels
