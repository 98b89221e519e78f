// Whole files: written all or nothing, and their checksums.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace fslens {

/// Writes `content` to `path + ".partial"`, flushes it to the disk and renames it: readers see the old file or the new
/// one, never a part. @throws IoError naming the path and the reason
void write_file_atomically(const std::string& path, std::string_view content);

/// The content of a text file. @throws DataError if it does not exist; IoError if it cannot be read.
std::string read_text_file(const std::string& path);

/// SHA-256 as 64 lower-case hexadecimal digits. @throws DataError if the file does not exist.
std::string sha256_file(const std::string& path);
std::string sha256_hex(std::span<const std::byte> bytes);
std::string sha256_hex(std::string_view text);

}  // namespace fslens
