#include <fmt/format.h>

#include <memory>

#include "commands.hpp"
#include "console.hpp"
#include "fslens/diagnosis/margins.hpp"
#include "fslens/samplers/registry.hpp"
#include "problem_source.hpp"

namespace fslens::app {
namespace {

void list_samplers() {
  for (const SamplerInfo& info : sampler_catalogue()) {
    fmt::print("{:<11} {}\n            operators: {}; evaluations: {}\n            source: {}\n", info.name, info.summary,
               info.operators, info.evaluations, info.source);
    for (const SamplerParameterInfo& parameter : info.parameters)
      fmt::print("            {} = {}: {}\n", parameter.name,
                 parameter.default_value.empty() ? "(unset)" : parameter.default_value, parameter.meaning);
  }
}

void list_operators() {
  static const std::vector<std::pair<const char*, const char*>> operators = {
      {"identity", "A(x) = x"},
      {"matrix", "A(x) = A x + bias; matrix (m, d), bias (m,)"},
      {"mask", "keeps components; indices, or mask (h, w)"},
      {"blur", "separable convolution; kernel and kernel_y, or sigma and radius; boundary periodic or reflecting; shape"},
      {"downsample", "means of factor x factor blocks; factor, shape"},
      {"gaussian-cs", "random projections, entries N(0, 1/m); m, seed"},
      {"square", "x^2, componentwise (nonlinear)"},
      {"abs", "|x|, componentwise (nonlinear)"},
      {"clip", "x clamped to [lo, hi] (nonlinear)"},
      {"compose", "operators applied first to last; operators = [{kind = ...}, ...]"}};
  for (const auto& [name, text] : operators) fmt::print("{:<12} {}\n", name, text);
}

void list_problems() {
  for (const auto& [name, path] : builtin_problems()) fmt::print("{:<28} {}\n", name, read_problem_file(path).title);
}

void list_checks() {
  for (const CheckInfo& info : check_catalogue())
    fmt::print("{:<25} margin {:<5} {}\n{:<25} {}\n", info.id, info.margin, info.unit, "", info.meaning);
}

void list_metrics() {
  static const std::vector<std::pair<const char*, const char*>> metrics = {
      {"spread_ratio", "total variance over the exact one, and along three principal directions"},
      {"mode_weights", "share of each mode: posterior responsibilities along t, hard assignment at the end"},
      {"mode_weights_tv", "total variation between mode weights and exact ones"},
      {"sliced_w2", "sliced 2-Wasserstein distance (Bonneel et al. 2015)"},
      {"energy", "energy distance, unbiased (Szekely & Rizzo 2013)"},
      {"mmd", "squared maximum mean discrepancy, unbiased, five Gaussian bandwidths (Gretton et al. 2012)"},
      {"ksd", "squared kernel Stein discrepancy with the exact posterior score, IMQ kernel (Gorham & Mackey 2017)"},
      {"total_variation", "between histogram and exact bin probabilities, d <= 2"},
      {"stop_error_rescaled", "energy distance of x_t/a to exact x_0, against the time of stopping"},
      {"stop_error_denoised", "energy distance of m(x_t, t) to exact x_0"},
      {"rank_ecdf", "calibrate: ranks of truths among draws, with simultaneous bands (Talts et al. 2018; Sailynoja et al. 2022)"},
      {"coverage", "calibrate: truths within central intervals and highest-density regions, at every level"},
      {"tarp", "calibrate: truths within balls about draws of the prior (Lemos et al. 2023)"},
      {"c2st", "calibrate: held-out accuracy of nearest neighbours on (y, truth) against (y, draw) (Lopez-Paz & Oquab 2017)"}};
  for (const auto& [name, text] : metrics) fmt::print("{:<20} {}\n", name, text);
}

}  // namespace

Command add_list(CLI::App& parent) {
  auto what = std::make_shared<std::string>();
  CLI::App* command = parent.add_subcommand("list", "List samplers, operators, problems, checks or metrics");
  command->add_option("what", *what, "samplers | operators | problems | checks | metrics")
      ->required()
      ->check(CLI::IsMember({"samplers", "operators", "problems", "checks", "metrics"}));
  return [what] {
    if (*what == "samplers") list_samplers();
    if (*what == "operators") list_operators();
    if (*what == "problems") list_problems();
    if (*what == "checks") list_checks();
    if (*what == "metrics") list_metrics();
    return static_cast<int>(kExitPass);
  };
}

}  // namespace fslens::app
