// One reader a file format; open_pending chooses among them.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "elements.hpp"
#include "fslens/io/array.hpp"

namespace fslens::io {

/// An empty key stands for the only array of the archive. @throws DataError listing the keys if the key is missing
PendingArray open_npz(const std::string& path, const std::string& key);
std::vector<std::string> list_npz(const std::string& path);

PendingArray open_safetensors(const std::string& path, const std::string& key);
std::vector<std::string> list_safetensors(const std::string& path);

PendingArray open_array_directory(const std::string& path, const std::string& key);
std::vector<std::string> list_array_directory(const std::string& path);

PendingArray open_npy_file(const std::string& path);
/// Has no header to be read alone.
NumericArray read_csv(const std::string& path);
PendingArray open_idx(const std::string& path);

/// The file's header, with the source at the first element; of CSV, the array itself. @throws DataError
std::variant<PendingArray, NumericArray> open_pending(const std::string& path_with_key);

/// The key to read: `key` itself, or the only one. @throws DataError listing what there is
std::string resolve_key(const std::string& path, const std::string& key, const std::vector<std::string>& keys);

}  // namespace fslens::io
