#include "fslens/diagnosis/tuning_search.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "fslens/core/error.hpp"

namespace fslens {
namespace {

double distance_of(const TuningCandidate& candidate) { return candidate.distance.value_or(std::numeric_limits<double>::infinity()); }

/// The candidates of one search, in the coordinate in which they are spread.
class Search {
 public:
  Search(const TuningRange& range, const std::function<void(TuningCandidate&)>& evaluate) : range_(range), evaluate_(evaluate) {}

  double coordinate(double value) const { return range_.is_logarithmic() ? std::log(value) : value; }
  /// The ends are the given numbers to the last bit.
  double value(double coordinate) const {
    return std::clamp(range_.is_logarithmic() ? std::exp(coordinate) : coordinate, range_.low, range_.high);
  }

  /// The distance of a value, tried now.
  double attempt(double value, bool refined) {
    TuningCandidate candidate{value, refined, std::nullopt, 0};
    evaluate_(candidate);
    const auto place = std::ranges::lower_bound(candidates_, value, {}, &TuningCandidate::value);
    candidates_.insert(place, candidate);
    return distance_of(candidate);
  }

  void scan(std::size_t count, std::optional<double> also) {
    const double low = coordinate(range_.low), high = coordinate(range_.high);
    for (std::size_t i = 0; i < count; ++i) {
      const double share = static_cast<double>(i) / static_cast<double>(count - 1);
      attempt(i == 0 ? range_.low : i + 1 == count ? range_.high : value(low + share * (high - low)), false);
    }
    if (also && *also >= range_.low && *also <= range_.high && std::ranges::find(candidates_, *also, &TuningCandidate::value) == candidates_.end())
      attempt(*also, false);
  }

  /// Golden section: of two inner points the worse becomes an end.
  void refine(std::size_t steps) {
    const double golden = 0.5 * (std::sqrt(5.0) - 1.0);
    const std::size_t best = index_of_best();
    double low = coordinate(candidates_[best == 0 ? 0 : best - 1].value);
    double high = coordinate(candidates_[std::min(best + 1, candidates_.size() - 1)].value);
    double left = high - golden * (high - low), right = low + golden * (high - low);
    double at_left = 0.0, at_right = 0.0;
    for (std::size_t step = 0; step < steps; ++step) {
      if (step == 0) {
        at_left = attempt(value(left), true);
      } else if (step == 1) {
        at_right = attempt(value(right), true);
      } else if (at_left <= at_right) {
        high = right, right = left, at_right = at_left;
        left = high - golden * (high - low);
        at_left = attempt(value(left), true);
      } else {
        low = left, left = right, at_left = at_right;
        right = low + golden * (high - low);
        at_right = attempt(value(right), true);
      }
    }
  }

  std::size_t index_of_best() const {
    return static_cast<std::size_t>(std::ranges::min_element(candidates_, {}, distance_of) - candidates_.begin());
  }

  TuningSearch result() const {
    TuningSearch out{candidates_, std::nullopt, RangeEdge::none};
    const std::size_t best = index_of_best();
    if (!candidates_[best].distance) return out;
    out.best = best;
    if (best == 0) out.edge = RangeEdge::low;
    if (best + 1 == candidates_.size()) out.edge = RangeEdge::high;
    return out;
  }

 private:
  TuningRange range_;
  const std::function<void(TuningCandidate&)>& evaluate_;
  std::vector<TuningCandidate> candidates_;  // ascending by value
};

}  // namespace

std::string to_string(RangeEdge edge) { return edge == RangeEdge::none ? "none" : edge == RangeEdge::low ? "low" : "high"; }

TuningRange parse_tuning_range(const std::string& text) {
  const auto fail = [&](const std::string& problem) { throw UsageError(fmt::format("range '{}': {} (write low:high)", text, problem)); };
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos) fail("has no ':'");
  const auto number = [&](std::size_t begin, std::size_t end) {
    double value = 0.0;
    const auto [rest, error] = std::from_chars(text.data() + begin, text.data() + end, value);
    if (error != std::errc() || rest != text.data() + end || !std::isfinite(value))
      fail(fmt::format("'{}' is not a number", text.substr(begin, end - begin)));
    return value;
  };
  const TuningRange range{number(0, colon), number(colon + 1, text.size())};
  if (!(range.low < range.high)) fail("the lower end must be below the upper one");
  return range;
}

TuningSearch search_range(const TuningRange& range, std::size_t num_scanned, std::size_t num_refined, std::optional<double> also,
                          const std::function<void(TuningCandidate&)>& evaluate) {
  require(std::isfinite(range.low) && std::isfinite(range.high) && range.low < range.high, "range",
          fmt::format("{}:{}", range.low, range.high), "must be finite, the lower end below the upper one");
  require(num_scanned >= 3, "num_scanned", fmt::format("{}", num_scanned), "must be >= 3");
  Search search(range, evaluate);
  search.scan(num_scanned, also);
  search.refine(num_refined);
  return search.result();
}

}  // namespace fslens
