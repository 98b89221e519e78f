// Strict reading of one table of a problem file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fslens/io/problem_file.hpp"
#include "problem_schema.hpp"
#include "toml_value.hpp"

namespace fslens::io {

/// Reads values by key and complains with "origin: table.key = value: rule".
class ProblemSection {
 public:
  /// `folder` is where paths begin. Complains unless `value` is a table.
  ProblemSection(const TomlValue& value, std::string name, std::string folder);

  /// The table's kind: the value of "kind", which must be one of the schema's; `fallback` empty: required.
  std::string kind(const TableSchema& schema, const std::string& fallback) const;
  /// Complains about every key that is not known, naming the nearest.
  void require_known_keys(const TableSchema& schema, const std::string& kind = "") const;

  bool has(std::string_view key) const { return find(key) != nullptr; }
  const TomlValue* find(std::string_view key) const;
  const std::string& folder() const { return folder_; }
  /// "grid.steps"
  std::string path_of(std::string_view key) const;

  // Each leaves `target` as it is if the key is absent.
  void read(std::string_view key, std::string& target) const;
  void read(std::string_view key, bool& target) const;
  void read(std::string_view key, double& target) const;
  void read(std::string_view key, std::optional<double>& target) const;
  void read(std::string_view key, std::optional<Interval>& target) const;
  void read(std::string_view key, std::optional<ArrayRef>& target) const;
  void read_file_name(std::string_view key, std::string& target) const;  ///< made absolute
  void read_word(std::string_view key, std::string& target, const std::vector<std::string>& known) const;
  void read_integer(std::string_view key, std::uint64_t& target, std::uint64_t minimum) const;
  void read_integer(std::string_view key, std::optional<std::uint64_t>& target, std::uint64_t minimum) const;
  /// [first, last]
  std::optional<ColumnRange> read_columns(std::string_view key) const;
  /// The array `key` where it may be a CSV file with `columns`. Complains about columns of anything else.
  void read_table_columns(std::string_view key, std::string_view columns_key, std::optional<ColumnRange> columns,
                          std::optional<ArrayRef>& target) const;

  /// Complains "key = value: rule" unless `holds`; `key` may be absent, then the table is named.
  void check(bool holds, std::string_view key, std::string_view rule) const;
  /// The rule for every number of an inline array; files are judged when they are loaded.
  void check_all(const std::optional<ArrayRef>& array, std::string_view key, const std::function<bool(double)>& holds,
                 std::string_view rule) const;
  /// Complains unless exactly one of `keys` is given.
  void require_one_of(const std::vector<std::string>& keys) const;
  /// Which of two keys that contradict each other to name: the overridden one, else the first that is given.
  std::string_view to_blame(std::string_view first, std::string_view second) const;
  void require_key(std::string_view key, std::string_view reason) const;
  [[noreturn]] void fail(std::string_view key, std::string_view rule) const;
  [[noreturn]] void fail_table(std::string_view problem) const;

 private:
  const TomlValue::Table* table_;
  Origin origin_;
  std::string name_;
  std::string folder_;
};

}  // namespace fslens::io
