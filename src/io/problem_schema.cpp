#include "problem_schema.hpp"

#include <algorithm>
#include <map>
#include <stdexcept>

#include "fslens/io/problem_file.hpp"

namespace fslens {

double tolerance_of_precision(std::string_view precision) { return precision == "f32" ? 1e-6 : 1e-12; }

std::vector<std::string> operator_kinds() { return io::problem_table("operator").kind_names(); }
std::vector<std::string> schedule_kinds() { return io::problem_table("schedule").kind_names(); }
std::vector<std::string> check_ids() { return io::problem_table("margins").kinds.front().keys; }

namespace io {

const std::vector<TableSchema>& problem_tables() {
  static const std::vector<TableSchema> tables = {
      {"prior",
       {{"atoms",
         {"atoms", "columns", "weights", "labels", "labels_column", "scale", "range", "complete", "bandwidth",
          "kernel", "copies"}},
        {"gaussian", {"mean", "cov"}},
        {"gmm", {"means", "covs", "weights"}}}},
      {"schedule",
       {{"vp-linear", {"beta_min", "beta_max"}},
        {"vp-cosine", {"offset", "max_beta"}},
        {"vp-discrete", {"betas"}},
        {"ve", {"sigma_min", "sigma_max", "rho"}},
        {"ou", {"sigma", "mean"}},
        {"flow", {}}}},
      {"operator",
       {{"identity", {}},
        {"matrix", {"matrix", "bias"}},
        {"mask", {"indices", "mask"}},
        {"blur", {"shape", "kernel", "kernel_y", "sigma", "radius", "boundary"}},
        {"downsample", {"shape", "factor"}},
        {"fourier-mask", {"shape", "indices", "mask"}},
        {"gaussian-cs", {"m", "seed"}},
        {"radon", {"shape", "angles", "m"}},
        {"square", {}},
        {"abs", {}},
        {"phase-retrieval", {"shape", "m", "seed", "factor", "matrix"}},
        {"clip", {"lo", "hi"}},
        {"compose", {"operators"}}}},
      {"noise", {{"gaussian", {"sigma", "covariance"}}}},
      {"measurement", {{"", {"y", "from_atom", "from_prior", "noise_seed"}}}},
      {"grid", {{"", {"steps", "t_max", "t_min", "spacing", "integrator", "eta"}}}},
      {"run", {{"", {"particles", "seed", "precision", "tolerance", "exact_scan", "record"}}}},
      {"modes", {{"", {"kind", "labels", "labels_column", "t"}}}},
      {"margins",
       {{"",
         {"spread", "mode-weights", "prior-hallucination", "likelihood-hallucination", "duplicates", "early-stopping", "distance",
          "calibration", "measurement-fit", "lens-resolution", "divergence"}}}}};
  return tables;
}

const TableSchema* find_problem_table(std::string_view name) {
  for (const TableSchema& table : problem_tables())
    if (table.name == name) return &table;
  return nullptr;
}

const TableSchema& problem_table(std::string_view name) {
  const TableSchema* table = find_problem_table(name);
  if (table == nullptr) throw std::logic_error("no such table: " + std::string(name));
  return *table;
}

std::vector<std::string> TableSchema::kind_names() const {
  std::vector<std::string> names;
  for (const KindSchema& kind : kinds) names.push_back(kind.kind);
  return names;
}

std::vector<std::string> TableSchema::all_keys() const {
  std::vector<std::string> keys;
  if (has_kinds()) keys.emplace_back("kind");
  for (const KindSchema& kind : kinds)
    for (const std::string& key : kind.keys)
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
  return keys;
}

const std::vector<std::string>& top_level_texts() {
  static const std::vector<std::string> texts = {"title", "description", "source", "answer"};
  return texts;
}

std::vector<std::string> top_level_keys() {
  std::vector<std::string> keys = top_level_texts();
  for (const TableSchema& table : problem_tables()) keys.push_back(table.name);
  keys.emplace_back("sampler");
  return keys;
}

const std::vector<std::vector<std::string>>& alternatives(std::string_view table) {
  static const std::map<std::string, std::vector<std::vector<std::string>>, std::less<>> groups = {
      {"measurement", {{"y", "from_atom", "from_prior"}}}, {"noise", {{"sigma", "covariance"}}}, {"run", {{"precision", "tolerance"}}}};
  static const std::vector<std::vector<std::string>> none;
  const auto found = groups.find(table);
  return found == groups.end() ? none : found->second;
}

}  // namespace io
}  // namespace fslens
