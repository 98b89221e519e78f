#include "fslens/io/problem_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <span>

#include "fslens/core/error.hpp"
#include "fslens/io/file.hpp"
#include "problem_schema.hpp"
#include "problem_tables.hpp"
#include "toml_value.hpp"

namespace fslens {
namespace io {
namespace {

TomlValue* find_entry(TomlValue::Table& table, std::string_view key) {
  return const_cast<TomlValue*>(find(table, key));
}

void put(TomlValue::Table& table, const std::string& key, TomlValue value) {
  if (TomlValue* entry = find_entry(table, key))
    *entry = std::move(value);
  else
    table.emplace_back(key, std::move(value));
}

/// Of alternatives, the one that an override names displaces those that the file gives.
void displace_alternatives(TomlValue::Table& table, const std::string& table_name, const std::string& key) {
  for (const auto& group : alternatives(table_name)) {
    if (std::find(group.begin(), group.end(), key) == group.end()) continue;
    std::erase_if(table, [&](const auto& entry) {
      return entry.first != key && !entry.second.origin.is_override() &&
             std::find(group.begin(), group.end(), entry.first) != group.end();
    });
  }
}

/// A kind that an override names displaces the file's keys that belong to another kind alone.
void displace_other_kinds(TomlValue::Table& table, const TableSchema& schema, const TomlValue& value) {
  const auto* name = value.as<std::string>();
  if (name == nullptr) return;
  const auto kind = std::find_if(schema.kinds.begin(), schema.kinds.end(), [&](const KindSchema& k) { return k.kind == *name; });
  if (kind == schema.kinds.end()) return;
  const auto keys = schema.all_keys();
  std::erase_if(table, [&](const auto& entry) {
    const bool known = std::find(keys.begin(), keys.end(), entry.first) != keys.end();
    const bool taken = std::find(kind->keys.begin(), kind->keys.end(), entry.first) != kind->keys.end();
    return known && !taken && entry.first != "kind" && !entry.second.origin.is_override();
  });
}

void apply_override(TomlValue& document, const std::string& assignment) {
  auto [path, value] = parse_override(assignment);
  auto& top = std::get<TomlValue::Table>(document.data);
  const Origin origin = value.origin;
  const std::size_t dot = path.find('.');
  if (dot == std::string::npos) {
    const auto& texts = top_level_texts();
    if (std::find(texts.begin(), texts.end(), path) == texts.end())
      fail_at(origin, find_problem_table(path) != nullptr || path == "sampler"
                          ? fmt::format("'{}' is a table; expected {}.key=value", path, path)
                          : unknown_name_message("key", path, top_level_keys()));
    return put(top, path, std::move(value));
  }
  const std::string table_name = path.substr(0, dot);
  const std::string key = path.substr(dot + 1);
  if (table_name == "sampler") fail_at(origin, "samplers cannot be set one key at a time; name them anew");
  const TableSchema* schema = find_problem_table(table_name);
  if (schema == nullptr) fail_at(origin, unknown_name_message("table", table_name, top_level_keys()));
  const auto keys = schema->all_keys();
  if (std::find(keys.begin(), keys.end(), key) == keys.end())
    fail_at(origin, unknown_name_message(fmt::format("key in [{}]", table_name), key, keys));
  if (find(top, table_name) == nullptr) top.emplace_back(table_name, TomlValue{TomlValue::Table{}, document.origin});
  auto* table = std::get_if<TomlValue::Table>(&find_entry(top, table_name)->data);
  if (table == nullptr) return;  // the file is wrong there, and is told so when it is read
  displace_alternatives(*table, table_name, key);
  if (key == "kind" && schema->has_kinds()) displace_other_kinds(*table, *schema, value);
  put(*table, key, std::move(value));
}

}  // namespace
}  // namespace io

ProblemSpec parse_problem(std::string_view text, const std::string& source_name, const std::string& folder,
                          const std::vector<std::string>& overrides) {
  io::TomlValue document = io::parse_toml(text, source_name);
  for (const std::string& assignment : overrides) io::apply_override(document, assignment);
  return io::read_problem(document, std::filesystem::absolute(folder.empty() ? "." : folder).string());
}

ProblemSpec read_problem_file(const std::string& path, const std::vector<std::string>& overrides) {
  const std::string text = read_text_file(path);
  return parse_problem(text, path, std::filesystem::path(path).parent_path().string(), overrides);
}

NumericArray load(const ArrayRef& ref) {
  if (ref.is_inline()) return ref.inline_values;
  NumericArray array = read_array(ref.path);
  if (!ref.columns) return array;
  const auto [first, last] = *ref.columns;
  if (array.shape.size() != 2 || last >= array.shape[1])
    throw DataError(ref.path, fmt::format("columns {} to {} asked of an array of shape {}; columns count from 0", first,
                                          last, shape_text(array.shape)));
  const std::size_t num_rows = array.shape[0];
  const std::size_t stride = array.shape[1];
  const std::size_t width = last - first + 1;
  const std::vector<double> all = std::move(array).to_double();
  NumericArray chosen;
  chosen.shape = {num_rows, width};
  chosen.stored_type = "text";
  auto& values = std::get<std::vector<double>>(chosen.values);
  values.reserve(num_rows * width);
  for (std::size_t row = 0; row < num_rows; ++row) {
    const auto cells = std::span(all).subspan(row * stride + first, width);
    values.insert(values.end(), cells.begin(), cells.end());
  }
  return chosen;
}

StoredArray load_stored(const ArrayRef& ref) {
  return ref.is_inline() || ref.columns ? to_stored(load(ref)) : open_array(ref.path);
}

std::vector<double> load_vector(const ArrayRef& ref) {
  NumericArray array = load(ref);
  const auto not_one = std::count_if(array.shape.begin(), array.shape.end(), [](std::size_t n) { return n != 1; });
  if (not_one > 1 || array.shape.size() > 2)
    throw DataError(ref.is_inline() ? "inline array" : ref.path,
                    fmt::format("has shape {}, expected one vector", shape_text(array.shape)));
  return std::move(array).to_double();
}

}  // namespace fslens
