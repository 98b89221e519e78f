#include "fslens/samplers/registry.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>

#include "fslens/core/error.hpp"
#include "fslens/guidance/dps_zeta.hpp"
#include "fslens/guidance/pigdm.hpp"
#include "fslens/guidance/tmpd.hpp"
#include "fslens/operators/elementwise.hpp"
#include "fslens/samplers/dps.hpp"
#include "fslens/samplers/score_sampler.hpp"
#include "guidance/gaussian_problem.hpp"

namespace fslens::test {
namespace {

SamplerContext context() {
  const GaussianProblem problem = random_problem(3, 2, NoiseShape::scalar, 1);
  return {.denoiser = problem.denoiser(),
          .posterior_denoiser = problem.posterior_denoiser(),
          .likelihood = problem.likelihood()};
}

template <class Exception>
std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Exception& error) {
    return error.what();
  }
  return "nothing of this kind was thrown";
}

template <class Exception>
std::string make_error(const std::string& spec) {
  return message_of<Exception>([&] { make_sampler(parse_sampler_spec(spec), context()); });
}

TEST(SamplerSpec, ParsesNamesAndParameters) {
  const SamplerSpec spec = parse_sampler_spec("pigdm:r2=flat,zeta=0.3");
  EXPECT_EQ(spec.name, "pigdm");
  EXPECT_EQ(spec.parameters, (SamplerParameters{{"r2", "flat"}, {"zeta", "0.3"}}));
  EXPECT_TRUE(parse_sampler_spec("tmpd").parameters.empty());
  for (const char* text : {"", ":r2=flat", "pigdm:", "pigdm:r2", "pigdm:=flat", "pigdm:r2=", "pigdm:r2=flat,",
                           "pigdm:r2=flat,r2=unit", "pigdm:,r2=flat"})
    EXPECT_THROW(parse_sampler_spec(text), UsageError) << text;
  EXPECT_EQ(message_of<UsageError>([] { parse_sampler_spec("pigdm:r2"); }),
            "sampler 'pigdm:r2': 'r2' is not key=value (write name or name:key=value,key=value)");
}

TEST(SamplerRegistry, MakesEverySamplerOfTheCatalogueButTheJudge) {
  for (const SamplerInfo& info : sampler_catalogue()) {
    EXPECT_FALSE(info.summary.empty());
    EXPECT_FALSE(info.source.empty());
    EXPECT_TRUE(info.operators == "any" || info.operators == "affine" || info.operators == "differentiable");
    if (info.name == "exact") continue;
    const auto sampler = make_sampler({info.name, {}}, context());
    EXPECT_EQ(sampler->name(), info.name);
    Matrix x(2, 3, 0.1);
    sampler->step(x, 0.5, 0.45, 0, RandomStream(1));
    EXPECT_NE(x(0, 0), 0.1) << info.name;
  }
  EXPECT_EQ(make_error<UsageError>("exact"),
            "exact is not a sampler that can be run step by step: it is drawn by the lens");
}

TEST(SamplerRegistry, PassesParametersOn) {
  const auto zeta = make_guidance(parse_sampler_spec("dps-zeta:zeta=0.25,weight=none"), nullptr);
  EXPECT_EQ(dynamic_cast<const DpsZetaGuidance&>(*zeta).options().zeta, 0.25);
  EXPECT_EQ(dynamic_cast<const DpsZetaGuidance&>(*zeta).options().weight, DpsWeight::none);
  const auto pigdm = make_guidance(parse_sampler_spec("pigdm:r2=flat"), nullptr);
  EXPECT_EQ(dynamic_cast<const PigdmGuidance&>(*pigdm).options().r2, PigdmVariance::flat);
  const auto tmpd = make_guidance(parse_sampler_spec("tmpd:max_dense=4,cg_tolerance=1e-3,cg_iterations=9"), nullptr);
  const TmpdOptions& options = dynamic_cast<const TmpdGuidance&>(*tmpd).options();
  EXPECT_EQ(options.max_dense, 4u);
  EXPECT_EQ(options.cg_tolerance, 1e-3);
  EXPECT_EQ(options.cg_iterations, 9u);
  const auto dps = make_sampler(parse_sampler_spec("dps:zeta=1"), context());
  EXPECT_EQ(dynamic_cast<const Dps&>(*dps).options().zeta, 1.0);
}

TEST(SamplerRegistry, CatalogueDefaultsAreTheDefaultsOfTheOptions) {
  const auto zeta = make_guidance({"dps-zeta", {}}, nullptr);
  EXPECT_EQ(dynamic_cast<const DpsZetaGuidance&>(*zeta).options().zeta, DpsZetaOptions{}.zeta);
  EXPECT_EQ(dynamic_cast<const DpsZetaGuidance&>(*zeta).options().weight, DpsZetaOptions{}.weight);
  const auto pigdm = make_guidance({"pigdm", {}}, nullptr);
  EXPECT_EQ(dynamic_cast<const PigdmGuidance&>(*pigdm).options().r2, PigdmOptions{}.r2);
  const auto tmpd = make_guidance({"tmpd", {}}, nullptr);
  const TmpdOptions& options = dynamic_cast<const TmpdGuidance&>(*tmpd).options();
  EXPECT_EQ(options.max_dense, TmpdOptions{}.max_dense);
  EXPECT_EQ(options.cg_tolerance, TmpdOptions{}.cg_tolerance);
  EXPECT_EQ(options.cg_iterations, TmpdOptions{}.cg_iterations);
  const auto dps = make_sampler({"dps", {}}, context());
  EXPECT_EQ(dynamic_cast<const Dps&>(*dps).options().zeta, DpsOptions{}.zeta);
}

TEST(SamplerRegistry, SpecOverridesTheIntegratorOfTheContext) {
  SamplerContext with_ddim = context();
  with_ddim.integrator = Integrator::ddim;
  with_ddim.eta = 0.5;
  const auto options = [&](const std::string& spec) {
    const auto sampler = make_sampler(parse_sampler_spec(spec), with_ddim);
    return dynamic_cast<const ScoreSampler&>(*sampler).options();
  };
  EXPECT_EQ(options("tmpd").integrator, Integrator::ddim);
  EXPECT_EQ(options("tmpd").eta, 0.5);
  EXPECT_EQ(options("tmpd:eta=0.25").eta, 0.25);
  EXPECT_EQ(options("tmpd:integrator=heun").integrator, Integrator::heun);
}

TEST(SamplerRegistry, ResolvedParametersFillInDefaults) {
  EXPECT_EQ(resolved_parameters(parse_sampler_spec("pigdm")),
            (SamplerParameters{{"integrator", "euler-maruyama"}, {"r2", "unit"}, {"scale", "1"}}));
  EXPECT_EQ(resolved_parameters(parse_sampler_spec("pigdm:r2=flat"), Integrator::ddim, 0.5),
            (SamplerParameters{{"eta", "0.5"}, {"integrator", "ddim"}, {"r2", "flat"}, {"scale", "1"}}));
  EXPECT_EQ(resolved_parameters(parse_sampler_spec("dps-zeta:integrator=heun"), Integrator::ddim),
            (SamplerParameters{{"integrator", "heun"}, {"weight", "precision"}, {"zeta", "1"}}));
  EXPECT_EQ(resolved_parameters(parse_sampler_spec("dps")), (SamplerParameters{{"zeta", "0.3"}}));
  EXPECT_TRUE(resolved_parameters(parse_sampler_spec("exact")).empty());
}

TEST(SamplerRegistry, WeightsReachTheGuidance) {
  EXPECT_EQ(weight_parameter("dps-zeta"), "zeta");
  for (const char* name : {"dps-sigma", "pigdm", "tmpd", "dmps"}) EXPECT_EQ(weight_parameter(name), "scale");
  for (const char* name : {"dps", "lens", "lens-sde", "exact"}) EXPECT_FALSE(weight_parameter(name)) << name;
  const auto step = [](const SamplerSpec& spec) {
    Matrix x(2, 3, 0.1);
    make_sampler(spec, context())->step(x, 0.5, 0.45, 0, RandomStream(1));
    return x;
  };
  for (const SamplerInfo& info : sampler_catalogue()) {
    const auto parameter = weight_parameter(info.name);
    if (!parameter) continue;
    const WeightSchedule three{{0.5}, {3.0}}, one{{0.5}, {1.0}};
    const Matrix plain = step({info.name, {}});
    const Matrix constant = step({info.name, {{*parameter, "3"}}});
    const Matrix scheduled = step({info.name, {{"schedule", "file"}}, three});
    const Matrix same = step({info.name, {{"schedule", "file"}}, one});
    for (std::size_t k = 0; k < plain.size(); ++k) {
      EXPECT_NE(constant.values()[k], plain.values()[k]) << info.name;
      EXPECT_NEAR(scheduled.values()[k], constant.values()[k], 1e-12) << info.name;
      EXPECT_NEAR(same.values()[k], plain.values()[k], 1e-12) << info.name;
    }
  }
  EXPECT_EQ(make_error<InvalidArgument>("dps-sigma:scale=abc"), "dps-sigma: scale = 'abc': must be a number");
  EXPECT_EQ(make_error<InvalidArgument>("dps-sigma:scale=inf"), "dps-sigma: scale = inf: must be finite");
  EXPECT_EQ(make_error<InvalidArgument>("tmpd:schedule=zeta.csv"),
            "tmpd: schedule = 'zeta.csv': must be named and read before a sampler is made of it");
  EXPECT_THROW(make_sampler({"tmpd", {}, WeightSchedule{{0.5}, {1.0}}}, context()), InvalidArgument);
}

TEST(SamplerRegistry, LensIsAnAliasAndNeedsThePosteriorsDenoiser) {
  EXPECT_EQ(canonical_sampler_name("lens"), "lens-sde");
  EXPECT_EQ(make_sampler({"lens", {}}, context())->name(), "lens-sde");
  EXPECT_EQ(make_sampler({"lens-sde", {}}, context())->evaluations_per_step(), 1.0);
  EXPECT_EQ(make_guidance({"lens", {}}, context().posterior_denoiser)->name(), "lens");
  EXPECT_THROW(make_guidance({"lens", {}}, nullptr), InvalidArgument);
}

TEST(SamplerRegistry, UnknownNamesAndKeysSuggest) {
  EXPECT_EQ(make_error<UsageError>("pigmd"),
            "unknown sampler 'pigmd' (did you mean 'pigdm'?); known: dps-sigma, dps-zeta, pigdm, tmpd, dmps, dps, "
            "lens-sde, exact");
  EXPECT_EQ(make_error<UsageError>("pigdm:r_2=flat"),
            "unknown parameter of pigdm 'r_2' (did you mean 'r2'?); known: r2, scale, schedule, integrator, eta");
  EXPECT_EQ(make_error<UsageError>("dps-sigma:integrator=heum"),
            "unknown integrator 'heum' (did you mean 'heun'?); known: euler-maruyama, ancestral, ddim, heun, "
            "exponential");
  EXPECT_EQ(message_of<UsageError>([] { resolved_parameters(parse_sampler_spec("exact:n=3")); }),
            "exact has no parameters, but 'n' was given");
  EXPECT_EQ(make_error<UsageError>("pigdm:eta=0.5"),
            "pigdm: eta is a parameter of integrator=ddim, but the integrator is 'euler-maruyama'");
  EXPECT_EQ(message_of<UsageError>([] {
              make_guidance({"dps", {}}, nullptr);
            }),
            "dps has no likelihood score: it changes the state itself (dps-zeta is its score form)");
  EXPECT_THROW(make_guidance({"exact", {}}, nullptr), UsageError);
}

TEST(SamplerRegistry, BadValuesNameSamplerKeyValueAndRule) {
  EXPECT_EQ(make_error<InvalidArgument>("pigdm:r2=x"), "pigdm: r2 = 'x': must be 'unit' or 'flat'");
  EXPECT_EQ(make_error<InvalidArgument>("dps-zeta:weight=x"), "dps-zeta: weight = 'x': must be 'precision' or 'none'");
  EXPECT_EQ(make_error<InvalidArgument>("dps-zeta:zeta=-1"), "dps-zeta: zeta = -1: must be a finite number > 0");
  EXPECT_EQ(make_error<InvalidArgument>("dps:zeta=0"), "dps: zeta = 0: must be a finite number > 0");
  EXPECT_EQ(make_error<InvalidArgument>("dps:zeta=abc"), "dps: zeta = 'abc': must be a number");
  EXPECT_EQ(make_error<InvalidArgument>("tmpd:max_dense=1.5"), "tmpd: max_dense = '1.5': must be a whole number >= 0");
  EXPECT_EQ(make_error<InvalidArgument>("tmpd:integrator=ddim,eta=1.5"), "tmpd: eta = 1.5: must lie in [0, 1]");
  EXPECT_EQ(message_of<InvalidArgument>([] { make_guidance(parse_sampler_spec("tmpd:eta=2"), nullptr); }),
            "tmpd: eta = 2: must lie in [0, 1]");
}

TEST(SamplerRegistry, AffineSamplersRefuseOtherOperatorsWhenMade) {
  SamplerContext square = context();
  square.likelihood = std::make_shared<Likelihood>(std::make_shared<SquareOperator>(3), GaussianNoise::scalar(3, 0.5),
                                                   std::vector<double>{1.0, 2.0, 0.5});
  for (const SamplerInfo& info : sampler_catalogue()) {
    if (info.name == "exact") continue;
    if (info.operators == "affine")
      EXPECT_EQ(message_of<UsageError>([&] {
                  make_sampler({info.name, {}}, square);
                }),
                info.name + " needs an affine operator; 'square' is not (use dps-sigma, dps-zeta, dps or lens-sde)");
    else
      EXPECT_NO_THROW(make_sampler({info.name, {}}, square)) << info.name;
  }
}

}  // namespace
}  // namespace fslens::test
