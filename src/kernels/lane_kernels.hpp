// What happens to each particle–atom pair between the integer products: logits, weights, digits. One copy an instruction set.
//
// Arrays are [atom][lane]: the sixteen particles of a lane group side by side, so that maxima and sums over the atoms stay in
// the lanes of a vector.
#pragma once

#include <cstddef>
#include <cstdint>

#include "integer_product.hpp"

namespace fslens::kernels {

inline constexpr double kLogTwo = 0.693147180559945309417;

/// The integer sums of one strip and one group, by order; scale · Σ_o 256^{−o} ints[o].
struct StripSums {
  const std::int32_t* ints = nullptr;  ///< [orders] at `stride` from each other: [kStripRows][kLanes]
  std::size_t orders = 1;
  std::size_t stride = 0;
};

/// logits[m][r][lane] = float32((scale[lane] · sums(r, lane) + offset[m][r] − reference[m][lane]) / log 2); largest[m] follows.
struct LogitTask {
  StripSums sums;
  const double* scale = nullptr;
  const double* reference[2] = {};
  const double* offsets[2] = {};   ///< [kStripRows]; nullptr for a second measure that is not there
  float* logits[2] = {};
  float* largest[2] = {};          ///< [kLanes], raised
};
void lane_logits(const LogitTask& task);

/// The same as a whole number of steps and a rest: sums · scale = step · (whole + Σ smaller orders), the first order alone being whole or,
/// where that is not fine enough, the first two. What is large cancels among the whole numbers, so float32 does for the others:
/// logits[m][r][lane] = (sums(r, lane) in steps + whole[m][r] − reference[m][lane]) + (smaller orders + rest[m][r]), in steps. The sum of
/// whole numbers must fit int32 in the end; on the way it may wrap around.
struct StepLogitTask {
  StripSums sums;
  bool fine = false;                       ///< 256 steps an order 0: its first two orders are whole
  const std::int32_t* reference[2] = {};   ///< [kLanes]
  const std::int32_t* whole[2] = {};       ///< [kStripRows]
  const float* rest[2] = {};               ///< [kStripRows]; nullptr for a second measure that is not there
  float* logits[2] = {};
  float* largest[2] = {};                  ///< [kLanes], raised
};
void lane_step_logits(const StepLogitTask& task);

/// (offset − top) · inverse as whole + rest, |rest| ≤ 1/2; 0 and −∞ below `lowest`. `rows` is a multiple of 8, |offset − top| · inverse < 2³¹.
void step_offsets(const double* offsets, std::size_t rows, double top, double lowest, double inverse, std::int32_t* whole, float* rest);

/// values[r][lane] = weights · (sums(r, lane) − shift[lane] + rest[lane]), the first order and the shift in whole numbers; largest[lane] ←
/// max |value|.
struct ProductTask {
  StripSums sums;
  const std::int32_t* shift = nullptr;  ///< [kLanes]
  const float* rest = nullptr;          ///< [kLanes]
  const float* weights = nullptr;       ///< [kStripRows][kLanes]
  float* values = nullptr;              ///< [kStripRows][kLanes]
  float* largest = nullptr;             ///< [kLanes], raised
};
void lane_products(const ProductTask& task);

/// totals[r][lane] += unit[lane] · sums(r, lane) over a strip.
void lane_add(const StripSums& sums, const double* unit, double* totals);

/// totals[j][lane] += Σ weights[r][lane] · features[r][j] over the live rows r, in float64.
struct FeatureTask {
  const float* weights = nullptr;       ///< [rows][kLanes]
  const std::uint32_t* live = nullptr;  ///< [num_live], or nullptr: the first num_live rows
  std::size_t num_live = 0;
  const double* features = nullptr;     ///< [rows][stride]
  std::size_t stride = 0;
  std::size_t columns = 0;
  double* totals = nullptr;             ///< [columns][kLanes]
};
void lane_features(const FeatureTask& task);

/// values[r][lane] = weights · (base[lane] + Σ_j slopes[j][lane] · features[r][j]), in this order; largest[lane] ← max |value|.
struct TiltTask {
  const float* weights = nullptr;   ///< [rows][kLanes]
  std::size_t rows = 0;
  const float* features = nullptr;  ///< [rows][columns]
  std::size_t columns = 0;
  const float* slopes = nullptr;    ///< [columns][kLanes]
  const float* base = nullptr;      ///< [kLanes]
  float* values = nullptr;          ///< [rows][kLanes]
  float* largest = nullptr;         ///< [kLanes], raised
};
void lane_tilts(const TiltTask& task);

/// out[k][lane] = *(words + offsets[lane] + k · kLanes), k < count, in words of four bytes: digits of lanes from several groups as one
/// group. @shape out [count][kLanes]
void lane_gather(const std::int32_t* words, const std::int32_t* offsets, std::size_t count, std::int32_t* out);

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
