// The shape of an image that a state x ∈ R^d holds.
#pragma once

#include <cstddef>
#include <string_view>

namespace fslens {

/// An image stored row-major as [height, width, channels]: pixel (i, j) of channel c is x[(i·width + j)·channels + c].
struct ImageShape {
  std::size_t height = 0;
  std::size_t width = 0;
  std::size_t channels = 1;

  std::size_t size() const { return height * width * channels; }
  friend bool operator==(const ImageShape&, const ImageShape&) = default;
};

/// @throws InvalidArgument naming `name` if a side of the image is 0.
void require_image_shape(std::string_view name, const ImageShape& shape);

}  // namespace fslens
