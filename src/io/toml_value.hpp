// A TOML document as plain data that remembers where each value was written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace fslens::io {

/// Where a value was written: a line of a file, or an override (line 0).
struct Origin {
  std::shared_ptr<const std::string> source;
  std::size_t line = 0;
  bool is_override() const { return line == 0; }
  std::string text() const;  ///< "file.toml:12" or "--set grid.steps=0"
};

struct TomlValue {
  using Array = std::vector<TomlValue>;
  using Table = std::vector<std::pair<std::string, TomlValue>>;  // in no particular order
  struct DateOrTime {};

  std::variant<bool, std::int64_t, double, std::string, Array, Table, DateOrTime> data;
  Origin origin;

  template <class T>
  const T* as() const {
    return std::get_if<T>(&data);
  }
  /// For messages: 0.3, "text", [1, 2, …], {…}.
  std::string shown() const;
};

const TomlValue* find(const TomlValue::Table& table, std::string_view key);

/// @throws DataError "source:line:column: …"
TomlValue parse_toml(std::string_view text, const std::string& source_name);

/// "key.path" and the value of "key.path=value"; a value that is not TOML but a bare word is a string.
/// @throws UsageError
std::pair<std::string, TomlValue> parse_override(const std::string& assignment);

/// Throws a UsageError if an override is to blame, else a DataError: "origin: problem".
[[noreturn]] void fail_at(const Origin& origin, std::string_view problem);

}  // namespace fslens::io
