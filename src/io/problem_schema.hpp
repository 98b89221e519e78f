// Which keys a problem file may have, table by table and kind by kind: the one place that knows.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fslens::io {

struct KindSchema {
  std::string kind;               ///< empty for a table without kinds
  std::vector<std::string> keys;  ///< besides "kind" itself
};

struct TableSchema {
  std::string name;
  std::vector<KindSchema> kinds;
  bool has_kinds() const { return !kinds.front().kind.empty(); }
  std::vector<std::string> kind_names() const;
  /// The keys of all kinds, and "kind".
  std::vector<std::string> all_keys() const;
};

const std::vector<TableSchema>& problem_tables();
/// @throws std::logic_error never for the names above
const TableSchema& problem_table(std::string_view name);
const TableSchema* find_problem_table(std::string_view name);
/// title, description, …
const std::vector<std::string>& top_level_texts();
/// Everything that may stand at the top level.
std::vector<std::string> top_level_keys();
/// Keys of one table that stand for each other: one that an override names takes the place of those in the file.
const std::vector<std::vector<std::string>>& alternatives(std::string_view table);

}  // namespace fslens::io
