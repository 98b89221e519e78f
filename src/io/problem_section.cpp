#include "problem_section.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "fslens/core/error.hpp"

namespace fslens::io {
namespace {

constexpr std::size_t kMaxNesting = 8;

/// A TOML number as a double; absent if it is none, or an integer that has no exact double.
std::optional<double> number_of(const TomlValue& value) {
  if (const auto* number = value.as<double>()) return *number;
  const auto* integer = value.as<std::int64_t>();
  constexpr std::int64_t kExact = std::int64_t{1} << 53;
  if (integer == nullptr || *integer > kExact || *integer < -kExact) return std::nullopt;
  return static_cast<double>(*integer);
}

/// Flattens nested arrays row by row; `shape` is learnt from the first branch and demanded of the others.
class InlineArrayReader {
 public:
  InlineArrayReader(const ProblemSection& section, std::string_view key) : section_(section), key_(key) {}

  NumericArray read(const TomlValue& value) {
    for (const TomlValue* level = &value; level->as<TomlValue::Array>() != nullptr;) {
      const auto& items = *level->as<TomlValue::Array>();
      if (items.empty()) section_.fail(key_, "an array must not be empty");
      if (shape_.size() == kMaxNesting)
        section_.fail(key_, fmt::format("arrays may be nested {} deep at most", kMaxNesting));
      shape_.push_back(items.size());
      level = &items.front();
    }
    collect(value, 0);
    NumericArray array;
    array.shape = shape_;
    array.values = std::move(values_);
    return array;
  }

 private:
  void collect(const TomlValue& value, std::size_t depth) {
    const auto* items = value.as<TomlValue::Array>();
    if (depth == shape_.size()) {
      const auto number = number_of(value);
      if (!number || !std::isfinite(*number))
        fail_at(value.origin, fmt::format("{}: {} among the numbers: expected finite numbers", section_.path_of(key_),
                                          value.shown()));
      values_.push_back(*number);
      return;
    }
    if (items == nullptr || items->size() != shape_[depth])
      fail_at(value.origin,
              fmt::format("{}: ragged array: expected {} entries as in the first row, found {}", section_.path_of(key_),
                          shape_[depth], items == nullptr ? value.shown() : fmt::format("{}", items->size())));
    for (const TomlValue& item : *items) collect(item, depth + 1);
  }

  const ProblemSection& section_;
  std::string_view key_;
  std::vector<std::size_t> shape_;
  std::vector<double> values_;
};

bool is_csv(const std::string& path) { return path.ends_with(".csv") || path.ends_with(".csv.gz"); }

}  // namespace

ProblemSection::ProblemSection(const TomlValue& value, std::string name, std::string folder)
    : table_(value.as<TomlValue::Table>()), origin_(value.origin), name_(std::move(name)), folder_(std::move(folder)) {
  if (table_ == nullptr) fail_at(origin_, fmt::format("{} = {}: expected a table", name_, value.shown()));
}

std::string ProblemSection::path_of(std::string_view key) const { return fmt::format("{}.{}", name_, key); }

const TomlValue* ProblemSection::find(std::string_view key) const { return io::find(*table_, key); }

std::string ProblemSection::kind(const TableSchema& schema, const std::string& fallback) const {
  std::string chosen = fallback;
  if (fallback.empty() && !has("kind"))
    fail_table(fmt::format("kind is missing; known: {}", fmt::join(schema.kind_names(), ", ")));
  read_word("kind", chosen, schema.kind_names());
  return chosen;
}

void ProblemSection::require_known_keys(const TableSchema& schema, const std::string& kind) const {
  const auto of_kind = std::find_if(schema.kinds.begin(), schema.kinds.end(),
                                    [&](const KindSchema& entry) { return entry.kind == kind; });
  const auto all_keys = schema.all_keys();
  const auto contains = [](const std::vector<std::string>& keys, const std::string& key) {
    return std::find(keys.begin(), keys.end(), key) != keys.end();
  };
  for (const auto& [key, value] : *table_) {
    if (contains(of_kind->keys, key) || (schema.has_kinds() && key == "kind")) continue;
    if (!contains(all_keys, key))
      fail_at(value.origin, unknown_name_message(fmt::format("key in [{}]", name_), key, all_keys));
    fail_at(value.origin,
            fmt::format("{} = {}: does not belong to kind \"{}\", which takes: {}", path_of(key), value.shown(), kind,
                        of_kind->keys.empty() ? "no other keys" : fmt::format("{}", fmt::join(of_kind->keys, ", "))));
  }
}

void ProblemSection::read(std::string_view key, std::string& target) const {
  const TomlValue* value = find(key);
  if (value == nullptr) return;
  const auto* text = value->as<std::string>();
  if (text == nullptr) fail(key, "expected a string");
  target = *text;
}

void ProblemSection::read(std::string_view key, bool& target) const {
  const TomlValue* value = find(key);
  if (value == nullptr) return;
  const auto* flag = value->as<bool>();
  if (flag == nullptr) fail(key, "expected true or false");
  target = *flag;
}

void ProblemSection::read(std::string_view key, double& target) const {
  const TomlValue* value = find(key);
  if (value == nullptr) return;
  const auto number = number_of(*value);
  if (!number) fail(key, "expected a number");
  if (!std::isfinite(*number)) fail(key, "must be finite");
  target = *number;
}

void ProblemSection::read(std::string_view key, std::optional<double>& target) const {
  if (!has(key)) return;
  double value = 0;
  read(key, value);
  target = value;
}

void ProblemSection::read(std::string_view key, std::optional<Interval>& target) const {
  const TomlValue* value = find(key);
  if (value == nullptr) return;
  const auto* items = value->as<TomlValue::Array>();
  const auto low = items != nullptr && items->size() == 2 ? number_of((*items)[0]) : std::nullopt;
  const auto high = items != nullptr && items->size() == 2 ? number_of((*items)[1]) : std::nullopt;
  if (!low || !high) fail(key, "expected two numbers [low, high]");
  check(std::isfinite(*low) && std::isfinite(*high) && *low < *high, key, "must be finite with low < high");
  target = Interval{*low, *high};
}

void ProblemSection::read_file_name(std::string_view key, std::string& target) const {
  const TomlValue* value = find(key);
  if (value == nullptr) return;
  const auto* text = value->as<std::string>();
  if (text == nullptr || text->empty()) fail(key, "expected a file name");
  target = (std::filesystem::path(folder_) / *text).lexically_normal().string();
}

void ProblemSection::read(std::string_view key, std::optional<ArrayRef>& target) const {
  const TomlValue* value = find(key);
  if (value == nullptr) return;
  ArrayRef ref;
  if (value->as<std::string>() != nullptr) {
    read_file_name(key, ref.path);
  } else if (value->as<TomlValue::Array>() != nullptr) {
    ref.inline_values = InlineArrayReader(*this, key).read(*value);
  } else {
    fail(key, "expected a file name or an array of numbers");
  }
  target = std::move(ref);
}

void ProblemSection::read_word(std::string_view key, std::string& target, const std::vector<std::string>& known) const {
  if (!has(key)) return;
  read(key, target);
  if (std::find(known.begin(), known.end(), target) == known.end())
    fail_at(find(key)->origin, unknown_name_message(path_of(key), target, known));
}

void ProblemSection::read_integer(std::string_view key, std::uint64_t& target, std::uint64_t minimum) const {
  const TomlValue* value = find(key);
  if (value == nullptr) return;
  const auto* integer = value->as<std::int64_t>();
  if (integer == nullptr) fail(key, "expected an integer");
  check(*integer >= 0 && static_cast<std::uint64_t>(*integer) >= minimum, key, fmt::format("must be >= {}", minimum));
  target = static_cast<std::uint64_t>(*integer);
}

void ProblemSection::read_integer(std::string_view key, std::optional<std::uint64_t>& target,
                                  std::uint64_t minimum) const {
  if (!has(key)) return;
  std::uint64_t value = 0;
  read_integer(key, value, minimum);
  target = value;
}

std::optional<ColumnRange> ProblemSection::read_columns(std::string_view key) const {
  const TomlValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto* items = value->as<TomlValue::Array>();
  const auto* first = items != nullptr && items->size() == 2 ? (*items)[0].as<std::int64_t>() : nullptr;
  const auto* last = items != nullptr && items->size() == 2 ? (*items)[1].as<std::int64_t>() : nullptr;
  if (first == nullptr || last == nullptr) fail(key, "expected two integers [first, last]");
  check(*first >= 0 && *first <= *last, key, "must be 0 <= first <= last");
  return ColumnRange{static_cast<std::size_t>(*first), static_cast<std::size_t>(*last)};
}

void ProblemSection::read_table_columns(std::string_view key, std::string_view columns_key,
                                        std::optional<ColumnRange> columns, std::optional<ArrayRef>& target) const {
  read(key, target);
  if (!columns) return;
  check(target && is_csv(target->path), columns_key, fmt::format("needs {} to be a .csv or .csv.gz file", key));
  target->columns = columns;
}

void ProblemSection::check(bool holds, std::string_view key, std::string_view rule) const {
  if (!holds) fail(key, rule);
}

void ProblemSection::check_all(const std::optional<ArrayRef>& array, std::string_view key,
                               const std::function<bool(double)>& holds, std::string_view rule) const {
  if (!array || !array->is_inline()) return;
  const auto& values = std::get<std::vector<double>>(array->inline_values.values);
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!holds(values[i])) fail_at(find(key)->origin, fmt::format("{}[{}] = {}: {}", path_of(key), i, values[i], rule));
}

void ProblemSection::require_one_of(const std::vector<std::string>& keys) const {
  std::vector<std::string> given;
  for (const std::string& key : keys)
    if (has(key)) given.push_back(key);
  if (given.size() != 1)
    fail_table(fmt::format("exactly one of {} must be given, found {}", fmt::join(keys, ", "),
                           given.empty() ? "none" : fmt::format("{}", fmt::join(given, " and "))));
}

std::string_view ProblemSection::to_blame(std::string_view first, std::string_view second) const {
  const TomlValue* of_second = find(second);
  if (of_second == nullptr) return first;
  const TomlValue* of_first = find(first);
  const bool first_blameless =
      of_first == nullptr || (of_second->origin.is_override() && !of_first->origin.is_override());
  return first_blameless ? second : first;
}

void ProblemSection::require_key(std::string_view key, std::string_view reason) const {
  if (!has(key)) fail_table(fmt::format("{} is missing: {}", key, reason));
}

void ProblemSection::fail(std::string_view key, std::string_view rule) const {
  const TomlValue* value = find(key);
  if (value == nullptr) fail_table(fmt::format("{} is missing: {}", key, rule));
  fail_at(value->origin, fmt::format("{} = {}: {}", path_of(key), value->shown(), rule));
}

void ProblemSection::fail_table(std::string_view problem) const {
  // An override may have created the table; what is then missing is still missing from the problem as a whole.
  fail_at(origin_, fmt::format("[{}]: {}", name_, problem));
}

}  // namespace fslens::io
