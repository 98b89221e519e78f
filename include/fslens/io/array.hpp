// Numeric arrays read from files: .npy, .npz, .csv, IDX, .safetensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace fslens {

/// A dense array in row-major (C) order, in the element type that its file holds.
///
/// float32, float64, uint8 and int64 are kept as they are; every other type is widened exactly: float16 and bfloat16 to
/// float32, other integers and booleans to int64.
struct NumericArray {
  std::vector<std::size_t> shape;  ///< empty: a single number, shape ()
  std::variant<std::vector<double>, std::vector<float>, std::vector<std::uint8_t>, std::vector<std::int64_t>> values;
  std::string stored_type;  ///< the element type in the file, e.g. "int16"; empty if the array is not from a file

  std::size_t size() const;
  /// "float64", "float32", "uint8" or "int64": what `values` holds.
  std::string element_type() const;
  /// All values as doubles; the rvalue form gives its memory away where it can.
  /// @throws InvalidArgument if an integer has no exact double.
  std::vector<double> to_double() const&;
  std::vector<double> to_double() &&;
  bool operator==(const NumericArray&) const = default;
};

/// "(3, 4)", "(5,)", "()": as numpy writes shapes.
std::string shape_text(std::span<const std::size_t> shape);

/// What an array holds, at a glance.
struct ArrayInfo {
  std::string name;  ///< as given: path, or path:key
  std::vector<std::size_t> shape;
  std::string stored_type;         ///< the element type in the file, e.g. "int16"
  std::optional<double> min;       ///< smallest finite value; absent if there is none
  std::optional<double> max;       ///< largest finite value; absent if there is none
  std::size_t num_non_finite = 0;  ///< NaN and ±Inf entries
};

/// Reads one array.
///
/// - `.npy` (versions 1–3, either byte order, C or Fortran order), `archive.npz:key` (stored or deflated),
///   `directory:key` (reads directory/key.npy), `file.safetensors:key`: a key may be left out where there is one array;
/// - `.csv`, `.tsv`, `.txt`, also gzipped: comma, semicolon, tab or spaces, header row detected; always float64 (rows,
/// columns);
/// - IDX by its magic number, also gzipped.
///
/// Memory is reserved only after the size that a header claims was checked against the file.
/// @throws DataError naming the path, the byte offset (or line and column), what was expected and what was found;
///         IoError if the memory cannot be had.
NumericArray read_array(const std::string& path_with_key);

/// The keys of an archive (`.npz`, `.safetensors`, directory of `.npy`), sorted; empty for a file that is one array.
std::vector<std::string> list_arrays(const std::string& path);

/// Reads the array and summarises it. @throws as read_array
ArrayInfo inspect_array(const std::string& path_with_key);

}  // namespace fslens
