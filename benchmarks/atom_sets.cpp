#include "atom_sets.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <numbers>
#include <utility>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "fslens/io/array.hpp"
#include "fslens/rng/stream.hpp"

namespace fslens::benchmarks {
namespace {

constexpr std::uint64_t kSeed = 20260530;
constexpr std::size_t kAtomsPerTask = 256;
constexpr double kLow = -1.0, kStep = 2.0 / 255.0;

AtomTable byte_table(std::shared_ptr<std::vector<std::uint8_t>> values, std::size_t count, std::size_t dim) {
  AtomData data;
  data.type = AtomType::uint8;
  data.values = values->data();
  data.owner = std::move(values);
  data.rows = count;
  data.low = kLow;
  data.step = kStep;
  return AtomTable(std::move(data), dim);
}

std::vector<double> scaled(const std::uint8_t* pixels, std::size_t dim) {
  std::vector<double> image(dim);
  for (std::size_t j = 0; j < dim; ++j) image[j] = kLow + kStep * pixels[j];
  return image;
}

// ---- Fashion-MNIST ----

constexpr std::size_t kSide = 28;
constexpr int kFarthestShift = 2;

std::vector<std::uint8_t> read_fashion(const std::string& file) {
  const std::string path = "/usr/share/datasets/fashion-mnist/" + file;
  if (!std::filesystem::exists(path))
    throw Error(fmt::format("{}: no such file. Fashion-MNIST is in the Debian package dataset-fashion-mnist: "
                            "apt-get install dataset-fashion-mnist", path));
  NumericArray images = read_array(path);
  auto* bytes = std::get_if<std::vector<std::uint8_t>>(&images.values);
  if (bytes == nullptr || bytes->empty() || bytes->size() % kFashion != 0)
    throw DataError(path, fmt::format("expected bytes of shape (count, 28, 28), found {} of shape {}", images.element_type(),
                                      shape_text(images.shape)));
  return std::move(*bytes);
}

/// (0, 0), then the other 24 moves of at most two pixels each way, the shortest first.
std::vector<std::pair<int, int>> shifts() {
  std::vector<std::pair<int, int>> all;
  for (int down = -kFarthestShift; down <= kFarthestShift; ++down)
    for (int right = -kFarthestShift; right <= kFarthestShift; ++right) all.emplace_back(down, right);
  std::ranges::stable_sort(all, {}, [](const auto& s) { return s.first * s.first + s.second * s.second; });
  return all;
}

void copy_shifted(const std::uint8_t* image, std::pair<int, int> shift, std::uint8_t* out) {
  const int side = static_cast<int>(kSide);
  for (int i = 0; i < side; ++i)
    for (int j = 0; j < side; ++j) {
      const int from_i = i - shift.first, from_j = j - shift.second;
      const bool inside = from_i >= 0 && from_i < side && from_j >= 0 && from_j < side;
      out[i * side + j] = inside ? image[from_i * side + from_j] : std::uint8_t{0};
    }
}

AtomSet fashion_mnist(std::size_t count) {
  const std::vector<std::uint8_t> images = read_fashion("train-images-idx3-ubyte.gz");
  const std::size_t available = images.size() / kFashion;
  const auto moves = shifts();
  require(count <= available * moves.size(), "count", fmt::format("{}", count),
          fmt::format("must be at most {}: {} images, {} shifts", available * moves.size(), available, moves.size()));
  auto values = std::make_shared<std::vector<std::uint8_t>>(count * kFashion);
  parallel_for_ranges(count, kAtomsPerTask, [&](std::size_t first, std::size_t last) {
    for (std::size_t i = first; i < last; ++i) {
      const std::size_t image = count < available ? i * available / count : i % available;
      copy_shifted(&images[image * kFashion], moves[i / available], values->data() + i * kFashion);
    }
  });
  const std::vector<std::uint8_t> test_images = read_fashion("t10k-images-idx3-ubyte.gz");
  return {"Fashion-MNIST", byte_table(std::move(values), count, kFashion), {kSide, kSide, 1}, scaled(test_images.data(), kFashion)};
}

// ---- synthetic sets ----

AtomSet mixture(std::size_t dim, std::size_t count, const ImageShape& shape) {
  constexpr std::size_t kComponents = 10;
  constexpr double kSpread = 0.3;
  const RandomStream stream = RandomStream(kSeed).child("mixture", dim);
  const RandomStream means = stream.child("means"), noise = stream.child("noise"), component = stream.child("component");
  const auto value = [&](std::size_t i, std::size_t j) {
    const auto k = static_cast<std::size_t>(component.uniform(0, i) * kComponents);
    return means.normal(0, k, j) + kSpread * noise.normal(0, i, j);
  };
  std::vector<float> values(count * dim);
  parallel_for_ranges(count, kAtomsPerTask, [&](std::size_t first, std::size_t last) {
    for (std::size_t i = first; i < last; ++i)
      for (std::size_t j = 0; j < dim; ++j) values[i * dim + j] = static_cast<float>(value(i, j));
  });
  std::vector<double> held_out(dim);
  for (std::size_t j = 0; j < dim; ++j) held_out[j] = value(count, j);
  return {"mixture of ten Gaussians", AtomTable(std::move(values), count, dim), shape, std::move(held_out)};
}

// Good bits for the dither at a nanosecond for eight pixels; the amplitudes come from the counter-based stream.
std::uint64_t splitmix(std::uint64_t z) {
  z += 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

constexpr std::size_t kColourSide = 32, kChannels = 3, kWaves = 48;

/// Cosines over the image with falling amplitudes, each with its own mix of the channels. @shape result [kWaves, 3072]
std::vector<float> wave_fields(const RandomStream& stream) {
  std::vector<float> fields(kWaves * kColourImages);
  for (std::size_t w = 0; w < kWaves; ++w) {
    const std::size_t across = w / 2 % 5, down = w / 10;
    const double amplitude = 60.0 / (1.0 + static_cast<double>(across + down));
    for (std::size_t i = 0; i < kColourSide; ++i)
      for (std::size_t j = 0; j < kColourSide; ++j)
        for (std::size_t c = 0; c < kChannels; ++c) {
          const double row = std::cos(std::numbers::pi * static_cast<double>(down) * (static_cast<double>(i) + 0.5) / kColourSide);
          const double column = std::cos(std::numbers::pi * static_cast<double>(across) * (static_cast<double>(j) + 0.5) / kColourSide);
          fields[w * kColourImages + (i * kColourSide + j) * kChannels + c] =
              static_cast<float>(amplitude * row * column * stream.normal(0, w, c));
        }
  }
  return fields;
}

void paint(const std::vector<float>& fields, const RandomStream& stream, std::size_t i, std::uint8_t* out) {
  std::array<float, kColourImages> image;
  image.fill(127.5F);
  for (std::size_t w = 0; w < kWaves; ++w) {
    const auto amplitude = static_cast<float>(stream.normal(0, i, w));
    for (std::size_t j = 0; j < kColourImages; ++j) image[j] += amplitude * fields[w * kColourImages + j];
  }
  for (std::size_t j = 0; j < kColourImages; j += 8) {
    const std::uint64_t bits = splitmix(i * kColourImages + j);
    for (std::size_t k = 0; k < 8; ++k) {
      const float dither = static_cast<float>((bits >> (8 * k)) & 255U) / 16.0F - 8.0F;
      out[j + k] = static_cast<std::uint8_t>(std::clamp(image[j + k] + dither, 0.0F, 255.0F));
    }
  }
}

AtomSet colour_images(std::size_t count) {
  const RandomStream stream = RandomStream(kSeed).child("colour images");
  const std::vector<float> fields = wave_fields(stream.child("channels"));
  const RandomStream amplitudes = stream.child("amplitudes");
  auto values = std::make_shared<std::vector<std::uint8_t>>(count * kColourImages);
  parallel_for_ranges(count, kAtomsPerTask, [&](std::size_t first, std::size_t last) {
    for (std::size_t i = first; i < last; ++i) paint(fields, amplitudes, i, values->data() + i * kColourImages);
  });
  std::vector<std::uint8_t> held_out(kColourImages);
  paint(fields, amplitudes, count, held_out.data());
  return {"smooth colour images", byte_table(std::move(values), count, kColourImages), {kColourSide, kColourSide, kChannels},
          scaled(held_out.data(), kColourImages)};
}

}  // namespace

AtomSet make_atom_set(std::size_t dim, std::size_t count) {
  switch (dim) {
    case kScalar: return mixture(dim, count, {1, 1, 1});
    case kMixture: return mixture(dim, count, {8, 8, 1});
    case kFashion: return fashion_mnist(count);
    case kColourImages: return colour_images(count);
    default: throw UsageError(fmt::format("there is no set of atoms of dimension {}: choose 1, 64, 784 or 3072", dim));
  }
}

std::vector<float> single_precision(const AtomTable& atoms) {
  std::vector<float> values(atoms.count() * atoms.dim());
  parallel_for_ranges(atoms.count(), kAtomsPerTask, [&](std::size_t first, std::size_t last) {
    std::vector<double> atom(atoms.dim());
    for (std::size_t i = first; i < last; ++i) {
      atoms.copy_atom(i, atom);
      for (std::size_t j = 0; j < atom.size(); ++j) values[i * atom.size() + j] = static_cast<float>(atom[j]);
    }
  });
  return values;
}

}  // namespace fslens::benchmarks
