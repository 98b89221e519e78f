#include "toml_value.hpp"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>

#include "fslens/core/error.hpp"
#include "trimmed.hpp"

namespace fslens::io {
namespace {

using SourceName = std::shared_ptr<const std::string>;

TomlValue convert(const toml::node& node, const SourceName& source, bool is_override) {
  TomlValue value;
  value.origin = {source, is_override ? 0 : static_cast<std::size_t>(node.source().begin.line)};
  switch (node.type()) {
    case toml::node_type::boolean:
      value.data = node.as_boolean()->get();
      break;
    case toml::node_type::integer:
      value.data = std::int64_t{node.as_integer()->get()};
      break;
    case toml::node_type::floating_point:
      value.data = node.as_floating_point()->get();
      break;
    case toml::node_type::string:
      value.data = node.as_string()->get();
      break;
    case toml::node_type::array: {
      TomlValue::Array items;
      items.reserve(node.as_array()->size());
      for (const toml::node& item : *node.as_array()) items.push_back(convert(item, source, is_override));
      value.data = std::move(items);
      break;
    }
    case toml::node_type::table: {
      TomlValue::Table entries;
      for (const auto& [key, item] : *node.as_table())
        entries.emplace_back(std::string(key.str()), convert(item, source, is_override));
      value.data = std::move(entries);
      break;
    }
    default:
      value.data = TomlValue::DateOrTime{};
  }
  return value;
}

}  // namespace

std::string Origin::text() const { return is_override() ? *source : fmt::format("{}:{}", *source, line); }

std::string TomlValue::shown() const {
  constexpr std::size_t kShownItems = 4;
  if (const auto* flag = as<bool>()) return *flag ? "true" : "false";
  if (const auto* integer = as<std::int64_t>()) return fmt::format("{}", *integer);
  if (const auto* number = as<double>()) return fmt::format("{}", *number);
  if (const auto* text = as<std::string>()) return fmt::format("\"{}\"", text->substr(0, 60));
  if (const auto* items = as<Array>()) {
    std::string text = "[";
    for (std::size_t i = 0; i < std::min(items->size(), kShownItems); ++i)
      text += fmt::format("{}{}", i == 0 ? "" : ", ", (*items)[i].shown());
    return text + (items->size() > kShownItems ? ", …]" : "]");
  }
  return as<Table>() != nullptr ? "{…}" : "a date or time";
}

const TomlValue* find(const TomlValue::Table& table, std::string_view key) {
  const auto found = std::find_if(table.begin(), table.end(), [&](const auto& entry) { return entry.first == key; });
  return found == table.end() ? nullptr : &found->second;
}

TomlValue parse_toml(std::string_view text, const std::string& source_name) {
  try {
    TomlValue document = convert(toml::parse(text), std::make_shared<const std::string>(source_name), false);
    document.origin.line = 1;
    return document;
  } catch (const toml::parse_error& error) {
    throw DataError(fmt::format("{}:{}:{}", source_name, error.source().begin.line, error.source().begin.column),
                    fmt::format("TOML syntax: {}", error.description()));
  }
}

std::pair<std::string, TomlValue> parse_override(const std::string& assignment) {
  const auto label = std::make_shared<const std::string>("--set " + assignment);
  const std::size_t equals = assignment.find('=');
  const std::string key(trimmed(std::string_view(assignment).substr(0, equals)));
  if (equals == std::string::npos || key.empty()) throw UsageError(fmt::format("{}: expected table.key=value", *label));
  const std::string text(trimmed(std::string_view(assignment).substr(equals + 1)));
  if (text.empty()) throw UsageError(fmt::format("{}: expected a value after '='", *label));
  try {
    const toml::table parsed = toml::parse("value = " + text);
    if (parsed.size() == 1) return {key, convert(*parsed.get("value"), label, true)};
  } catch (const toml::parse_error& error) {
    if (text.find_first_of("[]{}\"'\n") != std::string::npos)
      throw UsageError(fmt::format("{}: not a TOML value: {}", *label, error.description()));
    return {key, TomlValue{text, {label, 0}}};
  }
  throw UsageError(fmt::format("{}: more than one value", *label));
}

void fail_at(const Origin& origin, std::string_view problem) {
  if (origin.is_override()) throw UsageError(fmt::format("{}: {}", origin.text(), problem));
  throw DataError(origin.text(), problem);
}

}  // namespace fslens::io
