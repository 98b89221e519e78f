// Every instruction set gives the same answer: bytes exactly, the rest within the bounds that it states.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "fixed_point.hpp"
#include "fslens/core/parallel.hpp"
#include "fslens/kernels/soft_assignment.hpp"
#include "fslens/rng/stream.hpp"
#include "integer_product.hpp"
#include "lane_digits.hpp"
#include "lane_kernels.hpp"
#include "row_product.hpp"
#include "transpose_bytes.hpp"
#include "vector_target.hpp"

namespace fslens {
namespace {

using namespace kernels;

struct Products {
  AlignedArray<std::uint8_t> planes[4];
  AlignedArray<std::int8_t> digits[2];
  IntegerProduct product;

  Products(std::size_t num_planes, std::size_t num_digits, std::size_t orders, std::size_t steps, std::size_t strips) {
    const RandomStream stream(steps * 100 + num_planes * 10 + num_digits);
    product.num_planes = num_planes, product.num_digits = num_digits, product.orders = orders;
    product.steps = steps, product.strips = strips;
    product.row_stride = steps * kStepBytes;
    product.digit_stride = steps * kStepBytes * kLanes;
    for (std::size_t m = 0; m < num_planes; ++m) {
      const std::size_t size = strips * kStripRows * product.row_stride;
      planes[m].resize(size);
      for (std::size_t i = 0; i < size; ++i) planes[m].data()[i] = static_cast<std::uint8_t>(256.0 * stream.uniform(m, i));
      product.planes[m] = planes[m].data();
    }
    for (std::size_t g = 0; g < 2; ++g) {
      const std::size_t size = num_digits * product.digit_stride;
      digits[g].resize(size);
      for (std::size_t i = 0; i < size; ++i) digits[g].data()[i] = static_cast<std::int8_t>(256.0 * stream.uniform(10 + g, i) - 128.0);
      product.digits[g] = digits[g].data();
    }
  }

  std::vector<std::int32_t> run(IntegerKernel kernel) {
    const std::size_t size = product.strips * product.orders * 2 * kStripRows * kLanes;
    AlignedArray<std::int32_t> out(size);
    product.out = out.data();
    kernel(product);
    return {out.data(), out.data() + size};
  }
};

TEST(IntegerProduct, IsTheSameOnEveryInstructionSet) {
  for (const std::size_t planes : {1u, 2u, 4u})
    for (const std::size_t digits : {1u, 3u, 4u})
      for (const std::size_t steps : {1u, 2u, 13u}) {
        const std::size_t orders = std::min<std::size_t>(planes + digits - 1, 5);
        Products products(planes, digits, orders, steps, 2);
        const std::vector<std::int32_t> plain = products.run(integer_product_plain);
        for (const IntegerKernel kernel : {amx_kernel(), vnni_kernel()}) {
          if (kernel == nullptr) continue;
          EXPECT_EQ(products.run(kernel), plain) << planes << " planes, " << digits << " digits, " << steps << " steps";
        }
      }
}

TEST(IntegerProduct, PlainLoopsAreTheDefinition) {
  Products products(2, 2, 3, 1, 1);
  const std::vector<std::int32_t> got = products.run(integer_product_plain);
  for (std::size_t order = 0; order < 3; ++order)
    for (std::size_t g = 0; g < 2; ++g)
      for (std::size_t r = 0; r < kStripRows; r += 7)
        for (std::size_t lane = 0; lane < kLanes; lane += 5) {
          long sum = 0;
          for (std::size_t l = 0; l < 2; ++l)
            for (std::size_t m = 0; m < 2; ++m)
              for (std::size_t k = 0; l + m == order && k < kStepBytes; ++k)
                sum += static_cast<long>(products.planes[m].data()[r * kStepBytes + k]) *
                       products.digits[g].data()[l * kStepBytes * kLanes + (k / 4) * kStepBytes + lane * 4 + k % 4];
          EXPECT_EQ(got[((order * 2 + g) * kStripRows + r) * kLanes + lane], sum);
        }
}

/// Restores the fastest targets when a test ends.
struct Targets {
  ~Targets() {
    force_integer_target(nullptr);
    force_vector_target(nullptr);
  }
};

TEST(TransposeBytes, PutsEveryByteInItsPlaceOnEveryInstructionSet) {
  const Targets restore;
  const RandomStream stream(8);
  for (const auto& [rows, columns] : {std::pair<std::size_t, std::size_t>{64, 32}, {128, 96}, {192, 800}}) {
    const std::size_t stride = rounded_up(columns, 64);
    AlignedArray<std::uint8_t> from(rows * stride);
    for (std::size_t i = 0; i < rows * stride; ++i) from.data()[i] = static_cast<std::uint8_t>(256.0 * stream.uniform(rows, i));
    for (const std::string& target : vector_targets()) {
      ASSERT_TRUE(force_vector_target(target.c_str()));
      std::vector<std::uint8_t> to(columns * rows);
      transpose_bytes(from.data(), stride, rows, columns, to.data());
      std::size_t wrong = 0;
      for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t k = 0; k < columns; ++k) wrong += to[k * rows + r] != from.data()[r * stride + k];
      EXPECT_EQ(wrong, 0u) << target << ": " << rows << " rows, " << columns << " columns";
      force_vector_target(nullptr);
    }
  }
}

// Every float32 in [−125.5, 0] (a stride of 1 instead of 776; five minutes) errs by 2^−23.5 at most, with and without fused operations.
TEST(LaneDigits, PowersOfTwoErrByLessThanTheirBound) {
  const Targets restore;
  for (const std::string& target : vector_targets()) {
    ASSERT_TRUE(force_vector_target(target.c_str()));
    constexpr std::size_t kRows = 64;
    float logits[kRows * kLanes], weights[kRows * kLanes], top[kLanes] = {};
    std::uint32_t bits = 0x80000000u;  // −0, then ever further from it
    const std::uint32_t last = 0xc2ffffffu;  // just above −128
    double worst = 0.0;
    while (bits < last) {
      for (float& logit : logits) {
        std::memcpy(&logit, &bits, sizeof(logit));
        bits = std::min(last, bits + 97 * 8);
      }
      double square[kLanes] = {};
      lane_weights({.logits = logits, .rows = kRows, .top = top, .weights = weights, .square = square});
      for (std::size_t i = 0; i < kRows * kLanes; ++i) {
        if (weights[i] == 0.0f && logits[i] < kDeadArgument) continue;  // a dead row, or beyond float32
        const double exact = std::exp2(static_cast<double>(logits[i]));
        if (exact > 1e-37) worst = std::max(worst, std::abs(static_cast<double>(weights[i]) - exact) / exact);
      }
    }
    EXPECT_LT(worst, kPowerError) << target;
  }
}

TEST(RowProduct, IsExactOnEveryInstructionSet) {
  const Targets restore;
  const RandomStream stream(9);
  for (const std::size_t size : {1u, 31u, 64u, 100u, 784u, 4097u}) {
    std::vector<std::int16_t> q(size);
    std::vector<std::uint8_t> row(size);
    const std::int32_t most = largest_query(size);
    long sum = 0;
    for (std::size_t k = 0; k < size; ++k) {
      q[k] = static_cast<std::int16_t>(k % 3 == 0 ? most : std::lround((2.0 * stream.uniform(0, k) - 1.0) * most));
      row[k] = static_cast<std::uint8_t>(k % 3 == 0 ? 255 : 256.0 * stream.uniform(1, k));
      sum += static_cast<long>(q[k]) * row[k];
    }
    for (const std::string& target : vector_targets()) {
      ASSERT_TRUE(force_vector_target(target.c_str()));
      EXPECT_EQ(row_product(q.data(), row.data(), size), sum) << size << " terms, " << target;
    }
    std::ranges::fill(q, static_cast<std::int16_t>(most));
    std::ranges::fill(row, std::uint8_t{255});
    EXPECT_EQ(row_product(q.data(), row.data(), size), static_cast<long>(most) * 255 * static_cast<long>(size)) << "the largest sum of " << size;
  }
}

TEST(LaneKernels, GathersLanesOnEveryInstructionSet) {
  const Targets restore;
  constexpr std::size_t kCount = 13;
  std::vector<std::int32_t> words(40 * kCount * kLanes);
  std::iota(words.begin(), words.end(), 0);
  std::int32_t offsets[kLanes], out[kCount * kLanes];
  for (std::size_t l = 0; l < kLanes; ++l) offsets[l] = static_cast<std::int32_t>((l * 7 % 40) * kCount * kLanes + l * 5 % kLanes);
  for (const std::string& target : vector_targets()) {
    ASSERT_TRUE(force_vector_target(target.c_str()));
    std::ranges::fill(out, -1);
    lane_gather(words.data(), offsets, kCount, out);
    for (std::size_t k = 0; k < kCount; ++k)
      for (std::size_t l = 0; l < kLanes; ++l)
        ASSERT_EQ(out[k * kLanes + l], offsets[l] + static_cast<std::int32_t>(k * kLanes)) << target << ", word " << k << ", lane " << l;
  }
}

/// A problem whose particles need every way of computing.
struct MixedCase {
  AtomTable atoms;
  std::vector<double> prior, tilted;
  Matrix x;
  SoftAssignmentRequest request;

  explicit MixedCase(double s2, bool bytes) : atoms(make(bytes)), prior(kAtoms, -std::log(kAtoms)), tilted(prior), x(70, kDim) {
    const RandomStream stream(3);
    std::vector<double> atom(kDim);
    const double a = std::sqrt(1.0 - s2);
    for (std::size_t i = 0; i < kAtoms; ++i) tilted[i] -= 4.0 * std::abs(stream.normal(2, i));
    for (std::size_t b = 0; b < x.rows(); ++b) {
      atoms.copy_atom((b * 7) % kAtoms, atom);
      for (std::size_t k = 0; k < kDim; ++k) x(b, k) = a * atom[k] + std::sqrt(s2) * stream.normal(4, b, k);
    }
    request.atoms = &atoms, request.x = x, request.a = a, request.s2 = s2;
    request.log_weights = {prior, tilted};
    request.want_variance = true;
    request.direction_of = [](std::span<const std::size_t> which, ConstBatchView, ConstBatchView, BatchView directions) {
      for (std::size_t j = 0; j < which.size(); ++j)
        for (std::size_t k = 0; k < kDim; ++k) directions(j, k) = std::cos(static_cast<double>(k));
    };
  }

 private:
  static constexpr std::size_t kAtoms = 700, kDim = 70;

  static AtomTable make(bool bytes) {
    const RandomStream stream(11);
    const auto values = std::make_shared<std::vector<std::uint8_t>>(kAtoms * kDim);
    for (std::size_t i = 0; i < values->size(); ++i)
      (*values)[i] = static_cast<std::uint8_t>(127.0 + 60.0 * std::sin(0.37 * static_cast<double>(i % kDim) * static_cast<double>(i / kDim % 5 + 1)) + 60.0 * stream.uniform(0, i));
    if (!bytes) return AtomTable(std::vector<float>(values->begin(), values->end()), kAtoms, kDim);
    AtomData data;
    data.type = AtomType::uint8, data.values = values->data(), data.owner = values, data.rows = kAtoms;
    data.low = -1.0, data.step = 2.0 / 255.0;
    return AtomTable(data, kDim);
  }
};

double distance(std::span<const double> a, std::span<const double> b) {
  double sum = 0.0;
  for (std::size_t k = 0; k < a.size(); ++k) sum += (a[k] - b[k]) * (a[k] - b[k]);
  return std::sqrt(sum);
}

void expect_within_bounds(const SoftAssignmentResult& one, const SoftAssignmentResult& other, const std::string& what) {
  for (std::size_t m = 0; m < one.measures.size(); ++m)
    for (std::size_t b = 0; b < one.measures[m].log_normaliser.size(); ++b) {
      const SoftAssignmentMoments &p = one.measures[m], &q = other.measures[m];
      EXPECT_LE(std::abs(p.log_normaliser[b] - q.log_normaliser[b]), p.log_normaliser_error[b] + q.log_normaliser_error[b]) << what << " row " << b;
      EXPECT_LT(p.mean_error[b], 1e-2) << what << " row " << b;
      EXPECT_LE(distance(p.mean.row(b), q.mean.row(b)), p.mean_error[b] + q.mean_error[b]) << what << " row " << b;
      EXPECT_LE(std::abs(p.variance[b] - q.variance[b]), p.variance_error[b] + q.variance_error[b]) << what << " row " << b;
      EXPECT_LE(distance(one.covariance_product.row(b), other.covariance_product.row(b)),
                one.covariance_product_error[b] + other.covariance_product_error[b]) << what << " row " << b;
    }
}

TEST(SoftAssignmentTargets, AgreeWithinTheirBounds) {
  const Targets restore;
  for (const bool bytes : {true, false})
    for (const double s2 : {1e-4, 0.05, 0.3, 0.7, 0.99})
      for (const double tolerance : {kSingleTolerance, kDoubleTolerance}) {
        MixedCase c(s2, bytes);
        c.request.tolerance = tolerance;
        force_integer_target("none");
        force_vector_target(nullptr);
        const SoftAssignmentResult reference = soft_assignment(c.request);
        for (const char* integer : {"AMX", "VNNI", "plain", "none"})
          for (const std::string& vector : vector_targets()) {
            if (!force_integer_target(integer)) continue;
            ASSERT_TRUE(force_vector_target(vector.c_str()));
            const std::string what = std::string(integer) + " " + vector + " s2 " + std::to_string(s2) + (bytes ? " bytes" : " floats");
            expect_within_bounds(soft_assignment(c.request), reference, what);
            force_vector_target(nullptr);
          }
      }
}

TEST(SoftAssignmentTargets, HaveTheSameBitsForEveryNumberOfThreads) {
  const Targets restore;
  for (const char* integer : {"AMX", "VNNI", "none"}) {
    if (!force_integer_target(integer)) continue;
    for (const double s2 : {1e-4, 0.3, 0.9}) {
      MixedCase c(s2, true);
      c.request.tolerance = kSingleTolerance;
      SoftAssignmentResult first;
      for (const std::size_t threads : {1u, 2u, 3u, 8u}) {
        const ThreadLimit limit(threads);
        const SoftAssignmentResult got = soft_assignment(c.request);
        if (threads == 1) first = got;
        for (std::size_t m = 0; m < 2; ++m) {
          EXPECT_TRUE(std::ranges::equal(first.measures[m].mean.values(), got.measures[m].mean.values())) << threads;
          EXPECT_EQ(first.measures[m].log_normaliser, got.measures[m].log_normaliser) << threads;
          EXPECT_EQ(first.measures[m].mean_error, got.measures[m].mean_error) << threads;
        }
        EXPECT_TRUE(std::ranges::equal(first.covariance_product.values(), got.covariance_product.values())) << threads;
      }
    }
  }
}

}  // namespace
}  // namespace fslens
