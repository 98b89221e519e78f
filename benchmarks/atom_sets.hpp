// The training sets that are measured on.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "fslens/kernels/atom_table.hpp"
#include "fslens/operators/image_shape.hpp"

namespace fslens::benchmarks {

struct AtomSet {
  std::string name;
  AtomTable atoms;
  ImageShape shape;
  std::vector<double> held_out;  ///< an image of the same kind that is not an atom [d]
};

/// Dimensions there is a set for.
inline constexpr std::size_t kScalar = 1, kMixture = 64, kFashion = 784, kColourImages = 3072;

/// The set of dimension `dim` with `count` atoms; the same atoms for the same arguments.
///
/// - 784: Fashion-MNIST's training images as uint8, mapped to [−1, 1]. Fewer than 60,000 are taken at even distances. More are made by
///   moving the images: block k of 60,000 is the whole set moved by the k-th of the 25 shifts of at most two pixels each way, the
///   shortest first, with background where nothing moves in.
/// - 64 and 1: a mixture of ten Gaussians, float32: means N(0, 1), standard deviation 0.3 per coordinate.
/// - 3072: smooth colour images, uint8: 48 random amplitudes on cosine waves, and dither. They stand for natural images in
///   that most of their variance lies in few directions.
/// @throws Error if the Fashion-MNIST files are missing, UsageError for another dim
AtomSet make_atom_set(std::size_t dim, std::size_t count);

/// The values as float32, for the rivals. @shape result [N, d]
std::vector<float> single_precision(const AtomTable& atoms);

}  // namespace fslens::benchmarks
