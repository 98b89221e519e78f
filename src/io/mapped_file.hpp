// Parts of a file as memory.
#pragma once

#include <cstdint>
#include <memory>

#include "byte_source.hpp"

namespace fslens::io {

/// The next `size` > 0 bytes of the source as memory that can be read, until the last owner is gone; nothing where the source is
/// not a file's own bytes or its file system cannot map them. They must be there: check the size first.
std::shared_ptr<const void> map_bytes(const ByteSource& source, std::uint64_t size);

}  // namespace fslens::io
