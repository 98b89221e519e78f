// What happens to each pair between the integer products, on every instruction set, against its definition in long double.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "aligned_array.hpp"
#include "fslens/rng/stream.hpp"
#include "lane_digits.hpp"
#include "lane_kernels.hpp"
#include "row_product.hpp"
#include "vector_digits.hpp"
#include "vector_target.hpp"

namespace fslens {
namespace {

using namespace kernels;

constexpr std::size_t kStripSize = kStripRows * kLanes;
constexpr double kUnit24 = 0x1p-24;

void on_every_instruction_set(const std::function<void(const std::string&)>& body) {
  for (const std::string& target : vector_targets()) {
    ASSERT_TRUE(force_vector_target(target.c_str()));
    body(target);
    force_vector_target(nullptr);
  }
}

/// Whole numbers of at most `most`.
std::vector<std::int32_t> integers(std::uint64_t seed, std::size_t count, double most) {
  const RandomStream stream(seed);
  std::vector<std::int32_t> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<std::int32_t>(std::round(most * (2.0 * stream.uniform(0, i) - 1.0)));
  return values;
}

/// Σ_{o ≥ first} 256^{first − 1 − o} ints[o][place], and the same of the absolute values.
std::pair<long double, double> smaller_orders(const std::vector<std::int32_t>& ints, std::size_t orders, std::size_t first, std::size_t place) {
  long double sum = 0;
  double size = 0.0;
  for (std::size_t o = first; o < orders; ++o) {
    const long double part = std::ldexp(static_cast<long double>(ints[o * kStripSize + place]), -8 * static_cast<int>(o - first + 1));
    sum += part, size += std::abs(static_cast<double>(part));
  }
  return {sum, size};
}

TEST(StepLogits, AreWithinTheirRoundings) {
  const std::vector<std::int32_t> ints = integers(1, 4 * kStripSize, 2e6);
  const std::vector<std::int32_t> references[2] = {integers(2, kLanes, 3e8), integers(3, kLanes, 3e8)};
  const std::vector<std::int32_t> wholes[2] = {integers(4, kStripRows, 3e8), integers(5, kStripRows, 3e8)};
  float rests[2][kStripRows];
  for (std::size_t r = 0; r < kStripRows; ++r) rests[0][r] = 0.5f * std::sin(static_cast<float>(r)), rests[1][r] = 0.5f * std::cos(static_cast<float>(r));
  rests[0][3] = rests[1][7] = -std::numeric_limits<float>::infinity();
  on_every_instruction_set([&](const std::string& target) {
    for (const bool fine : {false, true})
      for (const std::size_t orders : {2u, 3u, 4u})
        for (const std::size_t measures : {1u, 2u}) {
          std::vector<float> logits[2], largest[2];
          StepLogitTask task;
          task.sums = {ints.data(), orders, kStripSize};
          task.fine = fine;
          for (std::size_t m = 0; m < measures; ++m) {
            logits[m].resize(kStripSize), largest[m].assign(kLanes, -std::numeric_limits<float>::infinity());
            task.reference[m] = references[m].data(), task.whole[m] = wholes[m].data(), task.rest[m] = rests[m];
            task.logits[m] = logits[m].data(), task.largest[m] = largest[m].data();
          }
          lane_step_logits(task);
          for (std::size_t m = 0; m < measures; ++m)
            for (std::size_t place = 0; place < kStripSize; ++place) {
              const std::size_t r = place / kLanes, lane = place % kLanes;
              ASSERT_GE(largest[m][lane], logits[m][place]);
              if (!std::isfinite(rests[m][r])) {
                ASSERT_EQ(logits[m][place], rests[m][r]);
                continue;
              }
              const std::int64_t first = fine ? 256ll * ints[place] + ints[kStripSize + place] : ints[place];
              const auto [below, size] = smaller_orders(ints, orders, fine ? 2 : 1, place);
              const long double exact = static_cast<long double>(first + wholes[m][r] - references[m][lane]) + below + rests[m][r];
              const double bound = kUnit24 * (2.0 * std::abs(static_cast<double>(exact)) + 3.1 * (size + 1.0));
              ASSERT_LE(std::abs(static_cast<double>(logits[m][place] - exact)), bound) << target << " fine " << fine << " orders " << orders;
            }
        }
  });
}

TEST(StepOffsets, AreWholeAndRestAndLeaveOutTheLowest) {
  std::vector<double> offsets(64);
  for (std::size_t r = 0; r < offsets.size(); ++r) offsets[r] = -1.7 * static_cast<double>(r * r);
  offsets[5] = -std::numeric_limits<double>::infinity();
  const double top = 12.3, inverse = 4096.77, lowest = offsets[40];
  on_every_instruction_set([&](const std::string& target) {
    std::vector<std::int32_t> whole(offsets.size());
    std::vector<float> rest(offsets.size());
    step_offsets(offsets.data(), offsets.size(), top, lowest, inverse, whole.data(), rest.data());
    for (std::size_t r = 0; r < offsets.size(); ++r) {
      if (offsets[r] < lowest) {
        EXPECT_EQ(whole[r], 0) << target;
        EXPECT_EQ(rest[r], -std::numeric_limits<float>::infinity()) << target;
      } else {
        EXPECT_LE(std::abs(rest[r]), 0.5f) << target;
        EXPECT_NEAR(whole[r] + static_cast<double>(rest[r]), (offsets[r] - top) * inverse, 1e-7) << target;
      }
    }
  });
}

TEST(LaneProducts, AreWithinTheirRoundings) {
  const std::vector<std::int32_t> ints = integers(6, 3 * kStripSize, 5e7), shift = integers(7, kLanes, 5e7);
  std::vector<float> weights(kStripSize), rest(kLanes);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = std::exp(-0.1f * static_cast<float>(i % 97));
  for (std::size_t l = 0; l < kLanes; ++l) rest[l] = 0.5f * std::sin(static_cast<float>(l));
  on_every_instruction_set([&](const std::string& target) {
    for (const std::size_t orders : {1u, 3u}) {
      std::vector<float> values(kStripSize), largest(kLanes, 0.0f);
      lane_products({.sums = {ints.data(), orders, kStripSize}, .shift = shift.data(), .rest = rest.data(), .weights = weights.data(),
                     .values = values.data(), .largest = largest.data()});
      for (std::size_t place = 0; place < kStripSize; ++place) {
        const std::size_t lane = place % kLanes;
        const auto [below, size] = smaller_orders(ints, orders, 1, place);
        const long double along = static_cast<long double>(static_cast<std::int64_t>(ints[place]) - shift[lane]) + below + rest[lane];
        const double bound = kUnit24 * weights[place] * (3.0 * std::abs(static_cast<double>(along)) + 4.0 * (size + 1.0));
        ASSERT_LE(std::abs(static_cast<double>(values[place] - weights[place] * along)), bound) << target;
        ASSERT_GE(largest[lane], std::abs(values[place]));
      }
    }
  });
}

TEST(LaneTilts, AreWithinTheirRoundings) {
  constexpr std::size_t kRows = 40;
  const RandomStream stream(31);
  std::vector<float> weights(kRows * kLanes);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<float>(stream.uniform(0, i));
  on_every_instruction_set([&](const std::string& target) {
    for (const std::size_t columns : {1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 9u, 13u}) {
      std::vector<float> features(kRows * columns), slopes(columns * kLanes), base(kLanes), values(kRows * kLanes), largest(kLanes, 0.0f);
      for (std::size_t i = 0; i < features.size(); ++i) features[i] = static_cast<float>(stream.normal(1, i, columns));
      for (std::size_t i = 0; i < slopes.size(); ++i) slopes[i] = static_cast<float>(100.0 * stream.normal(2, i, columns));
      for (std::size_t l = 0; l < kLanes; ++l) base[l] = static_cast<float>(-50.0 + 10.0 * static_cast<double>(l));
      lane_tilts({.weights = weights.data(), .rows = kRows, .features = features.data(), .columns = columns, .slopes = slopes.data(),
                  .base = base.data(), .values = values.data(), .largest = largest.data()});
      for (std::size_t place = 0; place < values.size(); ++place) {
        const std::size_t r = place / kLanes, lane = place % kLanes;
        double factor = base[lane], size = std::abs(factor);
        for (std::size_t j = 0; j < columns; ++j) {
          const double term = static_cast<double>(slopes[j * kLanes + lane]) * static_cast<double>(features[r * columns + j]);
          factor += term, size += std::abs(term);
        }
        // A product and a step of the sum a column, and the weight.
        const double bound = 1.001 * kUnit24 * weights[place] * static_cast<double>(columns + 2) * size;
        ASSERT_NEAR(static_cast<double>(values[place]), weights[place] * factor, bound) << target << ' ' << columns << " columns";
        ASSERT_GE(largest[lane], std::abs(values[place]));
      }
    }
  });
}

TEST(LaneFeatures, AreTheSumsOverTheLiveRows) {
  constexpr std::size_t kRows = 50, kStride = 19;
  const RandomStream stream(32);
  std::vector<float> weights(kRows * kLanes);
  std::vector<double> features(kRows * kStride);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<float>(stream.uniform(0, i));
  for (std::size_t i = 0; i < features.size(); ++i) features[i] = stream.normal(1, i);
  std::vector<std::uint32_t> some;
  for (std::uint32_t r = 0; r < kRows; r += 3) some.push_back(r);
  on_every_instruction_set([&](const std::string& target) {
    for (const bool all : {true, false})
      for (const std::size_t columns : {1u, 2u, 3u, 5u, 7u, 8u, 12u, 15u, 19u}) {
        std::vector<double> totals(columns * kLanes, 0.25);
        lane_features({.weights = weights.data(), .live = all ? nullptr : some.data(), .num_live = all ? kRows : some.size(),
                       .features = features.data(), .stride = kStride, .columns = columns, .totals = totals.data()});
        for (std::size_t i = 0; i < totals.size(); ++i) {
          double sum = 0.25;
          for (std::size_t r = 0; r < kRows; r += all ? 1 : 3) sum += static_cast<double>(weights[r * kLanes + i % kLanes]) * features[r * kStride + i / kLanes];
          ASSERT_NEAR(totals[i], sum, 1e-12) << target << ' ' << columns << " columns";
        }
      }
  });
}

struct Digits {
  static constexpr std::size_t kRows = 3 * kStepBytes;
  std::vector<float> values = std::vector<float>(kRows * kLanes), rough = std::vector<float>(kRows);
  std::vector<double> aux = std::vector<double>(kRows);
  float factor[kLanes];

  Digits(std::size_t num_digits, bool with_signs) {
    const RandomStream stream(num_digits);
    const double most = 127.0 * std::ldexp(1.0, 8 * static_cast<int>(num_digits - 1));
    for (std::size_t l = 0; l < kLanes; ++l) factor[l] = static_cast<float>(most);
    for (std::size_t r = 0; r < kRows; ++r) {
      rough[r] = static_cast<float>(aux[r] = 50.0 * stream.uniform(1, r));
      for (std::size_t l = 0; l < kLanes; ++l) {
        const double sign = with_signs && stream.uniform(2, r, l) < 0.5 ? -1.0 : 1.0;
        // The largest there may be, nothing at all in the second step, and all sizes.
        const double value = r == 0 ? 1.0 : r / kStepBytes == 1 ? 0.0 : std::exp(-20.0 * stream.uniform(3, r, l));
        values[r * kLanes + l] = static_cast<float>(sign * value);
      }
    }
  }
};

TEST(LaneDigits, HoldTheRoundedValuesAndSumThem) {
  on_every_instruction_set([&](const std::string& target) {
    for (const std::size_t num_digits : {1u, 2u, 3u, 4u})
      for (const int moment : {0, 1, 2}) {
        const Digits given(num_digits, moment == 0);
        const std::size_t stride = Digits::kRows * kLanes;
        std::vector<std::int8_t> digits(num_digits * stride);
        std::vector<std::uint8_t> live(Digits::kRows / kStepBytes);
        double sum[kLanes] = {}, moments[kLanes] = {}, lost[kLanes] = {};
        DigitTask task{.values = given.values.data(), .rows = Digits::kRows, .factor = given.factor};
        if (moment == 1) task.aux = given.aux.data();
        if (moment == 2) task.rough_aux = given.rough.data();
        task.num_digits = num_digits, task.digits = digits.data(), task.digit_stride = stride, task.live = live.data();
        task.sum = sum, task.moment = moments, task.lost = lost;
        lane_digits(task);
        EXPECT_EQ(live, (std::vector<std::uint8_t>{1, 0, 1})) << target;
        for (std::size_t l = 0; l < kLanes; ++l) {
          double whole = 0.0, second = 0.0, left = 0.0;
          for (std::size_t r = 0; r < Digits::kRows; ++r) {
            const float scaled = given.factor[l] * given.values[r * kLanes + l];
            std::int64_t n = 0;
            for (std::size_t k = 0; k < num_digits; ++k) n = 256 * n + digits[k * stride + (r / 4) * kStepBytes + l * 4 + r % 4];
            ASSERT_EQ(n, static_cast<std::int64_t>(std::nearbyint(scaled))) << target << ' ' << num_digits << " digits, row " << r;
            whole += static_cast<double>(n), second += static_cast<double>(n) * given.aux[r];
            left += std::abs(static_cast<double>(scaled) - static_cast<double>(n));
          }
          EXPECT_EQ(sum[l], whole) << target << ' ' << num_digits;
          EXPECT_NEAR(lost[l], left, 1e-3 * left) << target;
          if (moment == 1) { EXPECT_NEAR(moments[l], second, 1e-12 * second) << target; }
          if (moment == 2) { EXPECT_NEAR(moments[l], second, kRoughMoment * second) << target; }
        }
      }
  });
}

TEST(LaneWeights, RoundTheirArgumentsOnce) {
  constexpr std::size_t kRows = 64;
  const RandomStream stream(22);
  std::vector<float> logits(kRows * kLanes), weights(kRows * kLanes);
  float top[kLanes];
  const float bits = 0.0123456f;
  for (std::size_t l = 0; l < kLanes; ++l) top[l] = -1000.0f * static_cast<float>(1 + l);
  // The products are large, what is left of them is not.
  for (std::size_t i = 0; i < logits.size(); ++i)
    logits[i] = static_cast<float>((static_cast<double>(top[i % kLanes]) - 40.0 * stream.uniform(0, i)) / 0.0123456 - 1.0);
  on_every_instruction_set([&](const std::string& target) {
    double square[kLanes] = {};
    lane_weights({.logits = logits.data(), .rows = kRows, .bits = bits, .top = top, .weights = weights.data(), .square = square});
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const double argument = static_cast<double>(bits) * static_cast<double>(logits[i]) - static_cast<double>(top[i % kLanes]);
      const double exact = std::exp2(argument), relative = kLogTwo * std::abs(argument) * kUnit24 + kPowerError;
      ASSERT_NEAR(static_cast<double>(weights[i]), exact, 1.001 * relative * exact) << target << " argument " << argument;
    }
  });
}

TEST(VectorDigits, GiveBackTheVector) {
  const RandomStream stream(11);
  on_every_instruction_set([&](const std::string& target) {
    for (const std::size_t size : {1u, 3u, 16u, 50u, 64u, 100u})
      for (const std::size_t num_digits : {1u, 2u, 3u, 4u}) {
        std::vector<double> q(size), rounded(size);
        for (std::size_t k = 0; k < size; ++k) q[k] = 3.0 * stream.normal(size, k);
        const double largest = vector_largest(q.data(), size);
        double most = 0.0;
        for (const double value : q) most = std::max(most, std::abs(value));
        ASSERT_EQ(largest, most) << target;
        const std::size_t stride = (size + 3) / 4 * kStepBytes;
        const double unit = largest / 127.0 / std::ldexp(1.0, 8 * static_cast<int>(num_digits - 1));
        std::vector<std::int8_t> digits(num_digits * stride);
        const double lost = vector_digits(q.data(), size, num_digits, 1.0 / unit, unit, digits.data(), stride, rounded.data());
        double square = 0.0;
        for (std::size_t k = 0; k < size; ++k) {
          double n = 0.0;
          for (std::size_t l = 0; l < num_digits; ++l) n = 256.0 * n + digits[l * stride + (k / 4) * kStepBytes + k % 4];
          ASSERT_NEAR(rounded[k], unit * n, 1e-14 * largest) << target << ' ' << num_digits;
          ASSERT_LE(std::abs(q[k] - rounded[k]), 0.5001 * unit + 1e-14 * largest) << target;
          square += (q[k] - rounded[k]) * (q[k] - rounded[k]);
        }
        EXPECT_NEAR(lost, square, 1e-9 * square + 1e-30) << target;
      }
  });
}

TEST(WidenBytes, IsTheScaledByte) {
  const RandomStream stream(12);
  on_every_instruction_set([&](const std::string& target) {
    for (const std::size_t size : {1u, 7u, 64u, 785u}) {
      std::vector<std::uint8_t> row(size);
      for (std::size_t k = 0; k < size; ++k) row[k] = static_cast<std::uint8_t>(256.0 * stream.uniform(size, k));
      std::vector<double> out(size);
      widen_bytes(row.data(), size, -1.25, 0.013, out.data());
      for (std::size_t k = 0; k < size; ++k) EXPECT_NEAR(out[k], -1.25 + 0.013 * row[k], 1e-15) << target;
    }
  });
}

}  // namespace
}  // namespace fslens
