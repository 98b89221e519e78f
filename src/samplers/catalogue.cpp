#include <algorithm>
#include <utility>

#include "fslens/samplers/registry.hpp"

namespace fslens {
namespace {

/// An exact or approximate score under an integrator: its own parameters, then those that every such sampler has.
SamplerInfo score_form(std::string name, std::string summary, std::string operators,
                       std::vector<SamplerParameterInfo> parameters, std::string source, std::string evaluations) {
  parameters.push_back({"integrator", "",
                        "euler-maruyama, ancestral, ddim, heun or exponential; the problem's [grid] says which if this "
                        "does not"});
  parameters.push_back({"eta", "", "η of the ddim integrator in [0, 1]: 0 deterministic, 1 ancestral", true});
  return {std::move(name),       std::move(summary), std::move(operators),
          std::move(parameters), std::move(source),  std::move(evaluations)};
}

/// A likelihood score that may be weighted: by its own factor, or by `scale` where it has none, and along t.
SamplerInfo guided(std::string name, std::string summary, std::string operators, std::vector<SamplerParameterInfo> parameters,
                   std::string source, std::string evaluations) {
  if (std::ranges::find(parameters, "zeta", &SamplerParameterInfo::name) == parameters.end())
    parameters.push_back({"scale", "1", "constant factor on the likelihood score: 0 none, 1 as the method has it", true});
  parameters.push_back({"schedule", "",
                        "file of a factor ζ(t) on the likelihood score, beside the constant one: .csv with the header t,weight, or .npz "
                        "with t and weight (T,); linear in log-SNR between its times, constant beyond them"});
  return score_form(std::move(name), std::move(summary), std::move(operators), std::move(parameters), std::move(source),
                    std::move(evaluations));
}

std::vector<SamplerInfo> build_catalogue() {
  std::vector<SamplerInfo> catalogue;
  catalogue.push_back(guided("dps-sigma", "likelihood score Jᵀ Hᵀ Σ⁻¹ (y − A(m)): no variance for x_0 given x_t",
                                 "differentiable", {}, "Chung et al. 2023, arXiv:2209.14687, eqs. (10)–(14)", "2"));
  catalogue.push_back(guided(
      "dps-zeta", "dps-sigma times 2ζ/‖r‖, the authors' step size moved into the score", "differentiable",
      {{"zeta", "1", "step size ζ > 0", true},
       {"weight", "precision", "precision: (2ζ/‖r‖) Jᵀ Hᵀ Σ⁻¹ r; none: (ζ/‖r‖) Jᵀ Hᵀ r, without the noise level"}},
      "Chung et al. 2023, arXiv:2209.14687, section 4", "2"));
  catalogue.push_back(guided(
      "pigdm", "pseudo-inverse guidance: Cov[x_0 | x_t] replaced by r² I", "affine",
      {{"r2", "unit", "unit: r² = s²/(a² + s²), the paper's; flat: r² = s²/a²"}},
      "Song, Vahdat, Mardani & Kautz 2023, Pseudoinverse-guided diffusion models for inverse problems, ICLR", "2"));
  catalogue.push_back(guided(
      "tmpd", "Tweedie moment projection: x_0 given x_t replaced by the Gaussian of its mean and covariance", "affine",
      {{"max_dense", "128", "A C Aᵀ is factored per particle up to this m; conjugate gradients above"},
       {"cg_tolerance", "1e-8", "relative residual at which conjugate gradients stop, in (0, 1)"},
       {"cg_iterations", "1000", "the most iterations of conjugate gradients, >= 1"}},
      "Boys et al. 2023, arXiv:2310.06721", "2 + m, or 2 + iterations for m > max_dense"));
  catalogue.push_back(guided("dmps", "likelihood of y given x_t under a flat prior on x_0", "affine", {},
                                 "Meng & Kabashima 2022, arXiv:2211.12343", "1"));
  catalogue.push_back({"dps",
                       "as published: a DDPM step plus (ζ/‖r‖) Jᵀ Hᵀ r, whatever the noise and the step",
                       "differentiable",
                       {{"zeta", "0.3", "step size ζ > 0 in units of x; 1.0 for phase retrieval in the paper", true}},
                       "Chung et al. 2023, arXiv:2209.14687, algorithm 1",
                       "2"});
  catalogue.push_back(score_form("lens-sde",
                                 "the exact posterior score under an integrator: what discretisation alone costs",
                                 "any", {}, "exact posterior denoiser of the finite training set", "1"));
  catalogue.push_back({"exact",
                       "independent draws from the exact posterior: the judge, not a contestant",
                       "any",
                       {},
                       "exact posterior of the finite training set",
                       "0"});
  return catalogue;
}

}  // namespace

const std::vector<SamplerInfo>& sampler_catalogue() {
  static const std::vector<SamplerInfo> kCatalogue = build_catalogue();
  return kCatalogue;
}

}  // namespace fslens
