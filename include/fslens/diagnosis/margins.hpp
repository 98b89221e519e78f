// The one table of margins: how far from exact a sampler may be before a check fails.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace fslens {

struct CheckInfo {
  std::string id;
  double margin;
  std::string unit;     ///< of effect and margin
  std::string meaning;  ///< what is asked
};

/// Every check: those that diagnose() makes, in the order of reports, then that of calibrate().
const std::vector<CheckInfo>& check_catalogue();

/// The margins with a problem's own in place of the defaults. @throws UsageError on an unknown check id
std::map<std::string, double> resolve_margins(const std::map<std::string, double>& overrides);

}  // namespace fslens
