// Error budgets, sweeps and finite-sample errors as JSON, and back.
#pragma once

#include <nlohmann/json.hpp>

#include "fslens/diagnosis/diagnosis.hpp"

namespace fslens {

using Json = nlohmann::ordered_json;

/// null where a number is not finite: JSON has none for it.
Json number(double value);
Json number(const std::optional<double>& value);
std::optional<double> optional_from(const Json& object, const char* key);
double number_from(const Json& value);

Json budget_json(const SamplerDiagnosis& sampler);
ErrorBudget budget_from(const Json& json);
Json location_json(const ErrorLocation& location);
ErrorLocation location_from(const Json& json);
Json finite_sample_json(const FiniteSampleError& error);
FiniteSampleError finite_sample_from(const Json& json);

}  // namespace fslens
