// Writing arrays that numpy reads: .npy and .npz.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace fslens {

/// Writes one array, in place only when it is complete (see write_file_atomically).
/// @throws InvalidArgument if shape and values disagree; IoError naming the path and the reason.
void write_npy(const std::string& path, const std::vector<std::size_t>& shape, std::span<const double> values);
void write_npy(const std::string& path, const std::vector<std::size_t>& shape, std::span<const float> values);
void write_npy(const std::string& path, const std::vector<std::size_t>& shape, std::span<const std::int64_t> values);

/// Writes an uncompressed .npz archive, array by array, without holding them: each is on its way to the disk when `add`
/// returns.
///
/// The archive grows in `path + ".partial"` and takes its name at `close()`; without it nothing stays behind. The bytes
/// depend on names and values alone (no time stamps), so equal results give equal checksums.
class NpzWriter {
 public:
  /// @throws IoError if the file cannot be created.
  explicit NpzWriter(const std::string& path);
  ~NpzWriter();
  NpzWriter(const NpzWriter&) = delete;
  NpzWriter& operator=(const NpzWriter&) = delete;

  /// An empty shape is a single number, (). @throws InvalidArgument if the name is taken or shape and values disagree;
  /// IoError.
  void add(const std::string& name, const std::vector<std::size_t>& shape, std::span<const double> values);
  void add(const std::string& name, const std::vector<std::size_t>& shape, std::span<const float> values);
  void add(const std::string& name, const std::vector<std::size_t>& shape, std::span<const std::int64_t> values);
  /// A float64 of shape ().
  void add_number(const std::string& name, double value);
  /// Finishes the archive and gives it its name. @throws IoError
  void close();

 private:
  class Archive;
  std::unique_ptr<Archive> archive_;
};

}  // namespace fslens
