#include "fslens/operators/image_shape.hpp"

#include <fmt/format.h>

#include "fslens/core/error.hpp"

namespace fslens {

void require_image_shape(std::string_view name, const ImageShape& shape) {
  require(shape.height > 0 && shape.width > 0 && shape.channels > 0, name,
          fmt::format("{} x {} x {}", shape.height, shape.width, shape.channels),
          "height, width and channels must be at least 1");
}

}  // namespace fslens
