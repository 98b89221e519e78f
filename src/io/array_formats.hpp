// One reader a file format; read_array chooses among them.
#pragma once

#include <string>
#include <vector>

#include "fslens/io/array.hpp"

namespace fslens::io {

/// An empty key stands for the only array of the archive. @throws DataError listing the keys if the key is missing
NumericArray read_npz(const std::string& path, const std::string& key);
std::vector<std::string> list_npz(const std::string& path);

NumericArray read_safetensors(const std::string& path, const std::string& key);
std::vector<std::string> list_safetensors(const std::string& path);

NumericArray read_array_directory(const std::string& path, const std::string& key);
std::vector<std::string> list_array_directory(const std::string& path);

NumericArray read_npy_file(const std::string& path);
NumericArray read_csv(const std::string& path);
NumericArray read_idx(const std::string& path);

/// The key to read: `key` itself, or the only one. @throws DataError listing what there is
std::string resolve_key(const std::string& path, const std::string& key, const std::vector<std::string>& keys);

}  // namespace fslens::io
