#include "fslens/samplers/registry.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <utility>

#include "fslens/core/error.hpp"
#include "fslens/guidance/dmps.hpp"
#include "fslens/guidance/dps_sigma.hpp"
#include "fslens/guidance/dps_zeta.hpp"
#include "fslens/guidance/lens_guidance.hpp"
#include "fslens/guidance/pigdm.hpp"
#include "fslens/guidance/tmpd.hpp"
#include "fslens/samplers/dps.hpp"
#include "fslens/samplers/score_sampler.hpp"

namespace fslens {
namespace {

/// The parameters of one spec, with defaults filled in, read as the types that they stand for.
class ParameterReader {
 public:
  ParameterReader(std::string sampler, SamplerParameters values)
      : sampler_(std::move(sampler)), values_(std::move(values)) {}

  const std::string& text(const std::string& key) const { return values_.at(key); }

  double number(const std::string& key) const { return parse<double>(key, "must be a number"); }

  std::size_t count(const std::string& key) const { return parse<std::size_t>(key, "must be a whole number >= 0"); }

  template <class T>
  T choice(const std::string& key, const std::vector<std::pair<std::string, T>>& choices) const {
    std::string rule = "must be";
    for (const auto& [name, value] : choices) {
      if (text(key) == name) return value;
      rule += fmt::format("{} '{}'", rule == "must be" ? "" : " or", name);
    }
    throw InvalidArgument(fmt::format("{}: {} = '{}': {}", sampler_, key, text(key), rule));
  }

 private:
  template <class T>
  T parse(const std::string& key, const std::string& rule) const {
    const std::string& value = text(key);
    T result{};
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), result);
    require(error == std::errc() && end == value.data() + value.size(), fmt::format("{}: {}", sampler_, key),
            fmt::format("'{}'", value), rule);
    return result;
  }

  std::string sampler_;
  SamplerParameters values_;
};

const SamplerInfo& find_info(const std::string& name) {
  const std::string canonical = canonical_sampler_name(name);
  const auto& catalogue = sampler_catalogue();
  return *std::ranges::find(catalogue, canonical, &SamplerInfo::name);
}

void require_known_keys(const SamplerSpec& spec, const SamplerInfo& info) {
  std::vector<std::string> known;
  for (const auto& parameter : info.parameters) known.push_back(parameter.name);
  for (const auto& [key, value] : spec.parameters) {
    if (std::ranges::find(known, key) != known.end()) continue;
    if (known.empty()) throw UsageError(fmt::format("{} has no parameters, but '{}' was given", info.name, key));
    throw UsageError(unknown_name_message("parameter of " + info.name, key, known));
  }
}

using GuidanceFactory =
    std::function<std::unique_ptr<Guidance>(const ParameterReader&, const std::shared_ptr<const Denoiser>&)>;

const std::map<std::string, GuidanceFactory>& guidance_factories() {
  using Posterior = std::shared_ptr<const Denoiser>;
  static const std::map<std::string, GuidanceFactory> kFactories{
      {"dps-sigma", [](const ParameterReader&, const Posterior&) { return std::make_unique<DpsSigmaGuidance>(); }},
      {"dps-zeta",
       [](const ParameterReader& read, const Posterior&) {
         return std::make_unique<DpsZetaGuidance>(DpsZetaOptions{
             .zeta = read.number("zeta"),
             .weight =
                 read.choice<DpsWeight>("weight", {{"precision", DpsWeight::precision}, {"none", DpsWeight::none}})});
       }},
      {"pigdm",
       [](const ParameterReader& read, const Posterior&) {
         return std::make_unique<PigdmGuidance>(PigdmOptions{
             .r2 = read.choice<PigdmVariance>("r2", {{"unit", PigdmVariance::unit}, {"flat", PigdmVariance::flat}})});
       }},
      {"tmpd",
       [](const ParameterReader& read, const Posterior&) {
         return std::make_unique<TmpdGuidance>(TmpdOptions{.max_dense = read.count("max_dense"),
                                                           .cg_tolerance = read.number("cg_tolerance"),
                                                           .cg_iterations = read.count("cg_iterations")});
       }},
      {"dmps", [](const ParameterReader&, const Posterior&) { return std::make_unique<DmpsGuidance>(); }},
      {"lens-sde", [](const ParameterReader&, const Posterior& posterior) {
         return std::make_unique<ConditionalDenoiserGuidance>(posterior);
       }}};
  return kFactories;
}

ScoreSamplerOptions score_sampler_options(const SamplerInfo& info, const SamplerParameters& resolved) {
  const ParameterReader read(info.name, resolved);
  ScoreSamplerOptions options{.integrator = parse_integrator(read.text("integrator")), .eta = 0.0};
  if (options.integrator == Integrator::ddim) {
    options.eta = read.number("eta");
    require_between(info.name + ": eta", options.eta, 0.0, 1.0);
  }
  return options;
}

[[noreturn]] void refuse_exact() {
  throw UsageError("exact is not a sampler that can be run step by step: it is drawn by the lens");
}

}  // namespace

SamplerSpec parse_sampler_spec(const std::string& text) {
  const std::size_t colon = text.find(':');
  SamplerSpec spec{text.substr(0, colon), {}};
  const auto fail = [&](const std::string& problem) {
    throw UsageError(fmt::format("sampler '{}': {} (write name or name:key=value,key=value)", text, problem));
  };
  if (spec.name.empty()) fail("has no name");
  if (colon == std::string::npos) return spec;
  std::size_t begin = colon + 1;
  while (begin <= text.size()) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string item = text.substr(begin, end - begin);
    const std::size_t equals = item.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == item.size())
      fail(fmt::format("'{}' is not key=value", item));
    if (!spec.parameters.emplace(item.substr(0, equals), item.substr(equals + 1)).second)
      fail(fmt::format("'{}' is given twice", item.substr(0, equals)));
    begin = end + 1;
  }
  return spec;
}

std::string canonical_sampler_name(const std::string& name) {
  if (name == "lens") return "lens-sde";
  std::vector<std::string> known;
  for (const auto& info : sampler_catalogue()) {
    if (info.name == name) return name;
    known.push_back(info.name);
  }
  throw UsageError(unknown_name_message("sampler", name, known));
}

std::map<std::string, std::string> resolved_parameters(const SamplerSpec& spec, Integrator integrator, double eta) {
  const SamplerInfo& info = find_info(spec.name);
  require_known_keys(spec, info);
  SamplerParameters resolved;
  for (const auto& parameter : info.parameters) resolved[parameter.name] = parameter.default_value;
  for (const auto& [key, value] : spec.parameters) resolved[key] = value;
  if (!resolved.contains("integrator")) return resolved;

  if (resolved["integrator"].empty()) resolved["integrator"] = to_string(integrator);
  if (parse_integrator(resolved["integrator"]) == Integrator::ddim) {
    if (resolved["eta"].empty()) resolved["eta"] = fmt::format("{}", eta);
  } else {
    if (spec.parameters.contains("eta"))
      throw UsageError(fmt::format("{}: eta is a parameter of integrator=ddim, but the integrator is '{}'", info.name,
                                   resolved["integrator"]));
    resolved.erase("eta");
  }
  return resolved;
}

std::optional<SamplerSpec> exact_score_counterpart(const SamplerSpec& spec, Integrator integrator, double eta) {
  const SamplerParameters resolved = resolved_parameters(spec, integrator, eta);
  if (canonical_sampler_name(spec.name) == "dps") return SamplerSpec{"lens-sde", {{"integrator", "ancestral"}}};
  if (!resolved.contains("integrator")) return std::nullopt;
  SamplerSpec counterpart{"lens-sde", {{"integrator", resolved.at("integrator")}}};
  if (resolved.contains("eta")) counterpart.parameters["eta"] = resolved.at("eta");
  return counterpart;
}

bool has_guidance(const SamplerSpec& spec) { return guidance_factories().contains(find_info(spec.name).name); }

std::unique_ptr<Guidance> make_guidance(const SamplerSpec& spec, std::shared_ptr<const Denoiser> posterior_denoiser) {
  const SamplerInfo& info = find_info(spec.name);
  if (info.name == "exact") refuse_exact();
  // No integrator is at work here: eta is allowed for whichever will be.
  const SamplerParameters resolved = resolved_parameters(spec, Integrator::ddim);
  const auto factory = guidance_factories().find(info.name);
  if (factory == guidance_factories().end())
    throw UsageError(
        fmt::format("{} has no likelihood score: it changes the state itself (dps-zeta is its score form)", info.name));
  score_sampler_options(info, resolved);
  return factory->second(ParameterReader(info.name, resolved), posterior_denoiser);
}

std::unique_ptr<PosteriorSampler> make_sampler(const SamplerSpec& spec, const SamplerContext& context) {
  const SamplerInfo& info = find_info(spec.name);
  if (info.name == "exact") refuse_exact();
  const SamplerParameters resolved = resolved_parameters(spec, context.integrator, context.eta);
  const ParameterReader read(info.name, resolved);
  if (info.name == "dps")
    return std::make_unique<Dps>(context.denoiser, context.likelihood, DpsOptions{.zeta = read.number("zeta")});
  std::shared_ptr<const Guidance> guidance = guidance_factories().at(info.name)(read, context.posterior_denoiser);
  return std::make_unique<ScoreSampler>(info.name, context.denoiser, std::move(guidance), context.likelihood,
                                        score_sampler_options(info, resolved));
}

}  // namespace fslens
