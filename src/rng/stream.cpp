#include "fslens/rng/stream.hpp"

#include <Random123/philox.h>

#include <algorithm>
#include <vector>

#include "box_muller.hpp"
#include "fslens/core/parallel.hpp"

namespace fslens {
namespace {

std::uint64_t fnv1a(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

std::array<std::uint64_t, 2> philox(std::array<std::uint32_t, 2> key, std::uint64_t place, std::array<std::uint32_t, 2> counter) {
  const r123::Philox4x32::ctr_type all{
      {static_cast<std::uint32_t>(place), static_cast<std::uint32_t>(place >> 32), counter[0], counter[1]}};
  const r123::Philox4x32::ctr_type r = r123::Philox4x32{}(all, {{key[0], key[1]}});
  return {(static_cast<std::uint64_t>(r[1]) << 32) | r[0], (static_cast<std::uint64_t>(r[3]) << 32) | r[2]};
}

// The top bit of the last counter word separates the draws of a stream from the keys of its children.
constexpr std::uint32_t kChildBit = 0x80000000U;

}  // namespace

RandomStream RandomStream::child(std::string_view purpose, std::uint64_t index) const {
  const std::uint64_t named = philox(key_, fnv1a(purpose), {0, kChildBit})[0];
  const RandomStream by_name(named);
  return RandomStream(philox(by_name.key_, index, {1, kChildBit})[0]).from_particle(first_particle_);
}

RandomStream RandomStream::from_particle(std::uint64_t first) const {
  RandomStream moved = *this;
  moved.first_particle_ += first;
  return moved;
}

std::uint64_t RandomStream::place_of(std::uint64_t particle, std::uint64_t block) const {
  return ((first_particle_ + particle) << 32) | static_cast<std::uint32_t>(block);
}

std::array<std::uint32_t, 2> RandomStream::counter_of(std::uint64_t step) {
  return {static_cast<std::uint32_t>(step), static_cast<std::uint32_t>(step >> 32) & ~kChildBit};
}

double RandomStream::uniform(std::uint64_t step, std::uint64_t particle, std::uint64_t coordinate) const {
  return open_unit(philox(key_, place_of(particle, coordinate), counter_of(step))[0]);
}

double RandomStream::normal(std::uint64_t step, std::uint64_t particle, std::uint64_t coordinate) const {
  const auto words = philox(key_, place_of(particle, coordinate / 2), counter_of(step));
  const double u = open_unit(words[0]), v = open_unit(words[1]);
  std::array<double, 2> pair;
  box_muller(&u, &v, 1, pair.data());
  return pair[coordinate % 2];
}

void RandomStream::fill_normal(std::uint64_t step, BatchView out) const {
  constexpr std::size_t kParticlesPerTask = 64;
  parallel_for_ranges(out.rows(), kParticlesPerTask, [&](std::size_t first, std::size_t last) {
    const std::size_t pairs = (out.cols() + 1) / 2;
    std::vector<std::uint64_t> places;
    places.reserve((last - first) * pairs);
    for (std::size_t b = first; b < last; ++b)
      for (std::size_t pair = 0; pair < pairs; ++pair) places.push_back(place_of(b, pair));
    std::vector<double> normals(2 * places.size());
    philox_normals(key_, counter_of(step), places.data(), places.size(), normals.data());
    for (std::size_t b = first; b < last; ++b)
      std::copy_n(normals.data() + (b - first) * 2 * pairs, out.cols(), out.row(b).begin());
  });
}

}  // namespace fslens
