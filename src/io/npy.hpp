// The .npy format, versions 1 to 3.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "byte_source.hpp"
#include "elements.hpp"

namespace fslens::io {

/// What a .npy header says.
struct NpyHeader {
  ElementLayout layout;
  std::vector<std::size_t> shape;
};

/// Parses the Python dict literal {'descr': …, 'fortran_order': …, 'shape': …} and nothing else. `start` is the offset
/// of `text` in the source, for messages. @throws DataError
NpyHeader parse_npy_header(const ByteSource& source, std::string_view text, std::uint64_t start);

/// Reads the header of a .npy; the source must end with its array. @throws DataError
PendingArray open_npy(std::unique_ptr<ByteSource> source);

/// Magic, version and header for an array in C order, padded to a multiple of 64 bytes as numpy does.
/// `descr` is numpy's, e.g. "<f8".
std::string npy_preamble(std::string_view descr, const std::vector<std::size_t>& shape);

}  // namespace fslens::io
