#include "vector_target.hpp"

#include <hwy/highway.h>

#include <string_view>

namespace fslens::kernels {

std::vector<std::string> vector_targets() {
  std::vector<std::string> names;
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) names.emplace_back(hwy::TargetName(target));
  return names;
}

bool force_vector_target(const char* name) {
  const auto choose = [](std::int64_t targets) {
    hwy::SetSupportedTargetsForTest(targets);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    return true;
  };
  choose(0);  // every target that there is, so that the search below sees them
  if (name == nullptr) return true;
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets())
    if (std::string_view(hwy::TargetName(target)) == name) return choose(target);
  return false;
}

}  // namespace fslens::kernels
