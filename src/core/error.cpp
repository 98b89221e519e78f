#include "fslens/core/error.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace fslens {
namespace {

std::string data_error_message(std::string_view path, std::string_view problem, std::optional<std::size_t> offset) {
  if (offset) return fmt::format("{}: {} (at byte {})", path, problem, *offset);
  return fmt::format("{}: {}", path, problem);
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({substituted, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

DataError::DataError(std::string path, std::string_view problem, std::optional<std::size_t> byte_offset)
    : Error(data_error_message(path, problem, byte_offset)), path_(std::move(path)), byte_offset_(byte_offset) {}

void require(bool condition, std::string_view name, std::string_view value, std::string_view rule) {
  if (!condition) throw InvalidArgument(fmt::format("{} = {}: {}", name, value, rule));
}

void require_positive(std::string_view name, double value) {
  require(std::isfinite(value) && value > 0, name, fmt::format("{}", value), "must be a finite number > 0");
}

void require_nonnegative(std::string_view name, double value) {
  require(std::isfinite(value) && value >= 0, name, fmt::format("{}", value), "must be a finite number >= 0");
}

void require_finite(std::string_view name, std::span<const double> values) {
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i])) require(false, fmt::format("{}[{}]", name, i), fmt::format("{}", values[i]), "must be finite");
}

void require_between(std::string_view name, double value, double low, double high) {
  require(value >= low && value <= high, name, fmt::format("{}", value),
          fmt::format("must lie in [{}, {}]", low, high));
}

void require_size(std::string_view name, std::size_t size, std::size_t expected, std::string_view of_what) {
  require(size == expected, name, fmt::format("{} entries", size), fmt::format("must have {} ({})", expected, of_what));
}

std::optional<std::string> nearest_name(std::string_view name, std::span<const std::string> known) {
  const std::string* best = nullptr;
  std::size_t best_distance = std::max<std::size_t>(2, name.size() / 2) + 1;
  for (const std::string& candidate : known) {
    const std::size_t distance = edit_distance(name, candidate);
    if (distance < best_distance) {
      best = &candidate;
      best_distance = distance;
    }
  }
  if (best == nullptr) return std::nullopt;
  return *best;
}

std::string unknown_name_message(std::string_view what, std::string_view name, std::span<const std::string> known) {
  const auto nearest = nearest_name(name, known);
  return fmt::format("unknown {} '{}'{}; known: {}", what, name,
                     nearest ? fmt::format(" (did you mean '{}'?)", *nearest) : "", fmt::join(known, ", "));
}

}  // namespace fslens
