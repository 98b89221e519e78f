#include "fslens/rng/stream.hpp"

#include <Random123/philox.h>

#include <algorithm>
#include <vector>

#include "box_muller.hpp"
#include "fslens/core/parallel.hpp"

namespace fslens {
namespace {

// (0, 1): the centre of one of 2^53 equal cells, so that neither log(0) nor 1 can occur.
double open_unit(std::uint64_t word) { return (static_cast<double>(word >> 11) + 0.5) * 0x1.0p-53; }

std::uint64_t fnv1a(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

std::array<std::uint64_t, 2> philox(std::array<std::uint32_t, 2> key, std::uint64_t low, std::uint32_t c2, std::uint32_t c3) {
  const r123::Philox4x32::ctr_type counter{
      {static_cast<std::uint32_t>(low), static_cast<std::uint32_t>(low >> 32), c2, c3}};
  const r123::Philox4x32::ctr_type r = r123::Philox4x32{}(counter, {{key[0], key[1]}});
  return {(static_cast<std::uint64_t>(r[1]) << 32) | r[0], (static_cast<std::uint64_t>(r[3]) << 32) | r[2]};
}

// The top bit of the last counter word separates the draws of a stream from the keys of its children.
constexpr std::uint32_t kChildBit = 0x80000000U;

}  // namespace

RandomStream RandomStream::child(std::string_view purpose, std::uint64_t index) const {
  const std::uint64_t named = philox(key_, fnv1a(purpose), 0, kChildBit)[0];
  const RandomStream by_name(named);
  return RandomStream(philox(by_name.key_, index, 1, kChildBit)[0]);
}

std::array<std::uint64_t, 2> RandomStream::words(std::uint64_t step, std::uint64_t particle, std::uint64_t block) const {
  const std::uint64_t place = (particle << 32) | static_cast<std::uint32_t>(block);
  return philox(key_, place, static_cast<std::uint32_t>(step), static_cast<std::uint32_t>(step >> 32) & ~kChildBit);
}

double RandomStream::uniform(std::uint64_t step, std::uint64_t particle, std::uint64_t coordinate) const {
  return open_unit(words(step, particle, coordinate)[0]);
}

std::array<double, 2> RandomStream::normal_pair(std::uint64_t step, std::uint64_t particle, std::uint64_t pair) const {
  const auto w = words(step, particle, pair);
  const double u = open_unit(w[0]), v = open_unit(w[1]);
  std::array<double, 2> normals;
  box_muller(&u, &v, 1, normals.data());
  return normals;
}

double RandomStream::normal(std::uint64_t step, std::uint64_t particle, std::uint64_t coordinate) const {
  return normal_pair(step, particle, coordinate / 2)[coordinate % 2];
}

void RandomStream::fill_normal(std::uint64_t step, BatchView out) const {
  constexpr std::size_t kParticlesPerTask = 64;
  parallel_for_ranges(out.rows(), kParticlesPerTask, [&](std::size_t first, std::size_t last) {
    const std::size_t pairs = (out.cols() + 1) / 2;
    const std::size_t count = (last - first) * pairs;
    std::vector<double> u(count), v(count), normals(2 * count);
    for (std::size_t i = 0; i < count; ++i) {
      const auto w = words(step, first + i / pairs, i % pairs);
      u[i] = open_unit(w[0]);
      v[i] = open_unit(w[1]);
    }
    box_muller(u.data(), v.data(), count, normals.data());
    for (std::size_t b = first; b < last; ++b)
      std::copy_n(normals.data() + (b - first) * 2 * pairs, out.cols(), out.row(b).begin());
  });
}

}  // namespace fslens
