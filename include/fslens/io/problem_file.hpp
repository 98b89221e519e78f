// Problem files: a prior, a schedule, a forward operator, noise, a measurement, and how to run samplers on them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fslens/io/array.hpp"
#include "fslens/io/stored_array.hpp"

namespace fslens {

/// Columns first..last of a CSV file, both included, counted from 0.
struct ColumnRange {
  std::size_t first = 0;
  std::size_t last = 0;
  bool operator==(const ColumnRange&) const = default;
};

/// An array that a problem names: a file (read on demand by `load`) or the numbers themselves.
struct ArrayRef {
  std::string path;                    ///< absolute, as read_array takes it; empty: `inline_values` is meant
  std::optional<ColumnRange> columns;  ///< of a CSV file
  NumericArray inline_values;          ///< float64, finite
  bool is_inline() const { return path.empty(); }
  bool operator==(const ArrayRef&) const = default;
};

/// The array's content. @throws DataError as read_array, and if the file lacks the columns
NumericArray load(const ArrayRef& ref);
/// The content in its own element type, mapped where the file allows it. @throws as load and open_array
StoredArray load_stored(const ArrayRef& ref);
/// The content as one vector. @shape (n,), (n, 1), (1, n) or (). @throws DataError for other shapes
std::vector<double> load_vector(const ArrayRef& ref);

/// low < high.
struct Interval {
  double low = 0.0;
  double high = 1.0;
  bool operator==(const Interval&) const = default;
};

struct PriorSpec {
  std::string kind = "atoms";               ///< "atoms" | "gaussian" | "gmm"
  std::optional<ArrayRef> atoms;            ///< (N, d) or (N, h, w, …); required for "atoms"
  std::optional<ArrayRef> weights;          ///< (N,) of atoms, (K,) of a mixture; absent: equal
  std::optional<ArrayRef> labels;           ///< (N,) integers: the modes
  std::optional<Interval> scale;            ///< maps the integers `range` to [low, high]
  std::optional<Interval> range;            ///< what `scale` maps from; absent: 0..255, for uint8 atoms only
  bool complete = false;                    ///< the atoms are the prior itself, not a sample of it
  /// > 0: smoothed lens; 0: the raw lens, even where its weights collapse; absent: raw, and smoothed by leave-one-out where they do
  std::optional<double> bandwidth;
  bool bandwidth_by_leave_one_out = false;  ///< bandwidth = "loo"
  std::size_t copies = 8;                   ///< ≥ 1, jittered copies of each atom where no closed form smooths: another operator than an affine one
  std::string kernel = "isotropic";         ///< "isotropic" | "covariance"
  std::optional<ArrayRef> mean;             ///< (d,), gaussian
  std::optional<ArrayRef> cov;              ///< (d, d), gaussian
  std::optional<ArrayRef> means;            ///< (K, d), gmm
  std::optional<ArrayRef> covs;             ///< (K, d, d) or (K,), gmm
  bool operator==(const PriorSpec&) const = default;
};

/// The members that count are those of the kind; the others keep their defaults.
struct ScheduleSpec {
  std::string kind = "vp-linear";     ///< "vp-linear" | "vp-cosine" | "vp-discrete" | "ve" | "ou" | "flow"
  double beta_min = 0.01;             ///< vp-linear, > 0
  double beta_max = 20.0;             ///< vp-linear, ≥ beta_min
  double offset = 0.008;              ///< vp-cosine, > 0
  double max_beta = 0.999;            ///< vp-cosine, in (0, 1)
  std::optional<ArrayRef> betas;      ///< vp-discrete, each in (0, 1); absent: DDPM's thousand
  double sigma_min = 0.01;            ///< ve, > 0
  double sigma_max = 50.0;            ///< ve, > sigma_min
  double rho = 0.0;                   ///< ve, ≥ 0; 0: geometric
  double sigma = 1.4142135623730951;  ///< ou, > 0
  double mean = 0.0;                  ///< ou
  bool operator==(const ScheduleSpec&) const = default;
};

/// The kind and those parameters that the file gives; defaults and shapes are the operator's own business.
struct OperatorSpec {
  std::string kind;                   ///< see operator_kinds()
  std::optional<ArrayRef> matrix;     ///< (m, d)
  std::optional<ArrayRef> bias;       ///< (m,)
  std::optional<ArrayRef> indices;    ///< observed coordinates or frequencies
  std::optional<ArrayRef> mask;       ///< nonzero: observed
  std::vector<std::size_t> shape;     ///< [h, w] or [h, w, c]; empty: not given
  std::optional<ArrayRef> kernel;     ///< blur kernel; with kernel_y the horizontal factor of a separable one
  std::optional<ArrayRef> kernel_y;   ///< vertical factor
  std::optional<double> sigma;        ///< > 0, width of a Gaussian blur in pixels
  std::optional<std::size_t> radius;  ///< ≥ 1, where a Gaussian blur is cut off
  std::optional<std::string> boundary;
  std::optional<std::size_t> factor;  ///< ≥ 1
  std::optional<std::size_t> m;       ///< ≥ 1, number of measurements
  std::optional<std::uint64_t> seed;
  std::optional<ArrayRef> angles;  ///< radon, degrees
  std::optional<double> lo;        ///< clip, < hi
  std::optional<double> hi;
  std::vector<OperatorSpec> operators;  ///< compose: applied first to last
  bool operator==(const OperatorSpec&) const = default;
};

/// Exactly one of sigma, sigmas and covariance is present.
struct NoiseSpec {
  std::string kind = "gaussian";
  std::optional<double> sigma;         ///< > 0
  std::optional<ArrayRef> sigmas;      ///< (m,)
  std::optional<ArrayRef> covariance;  ///< (m, m)
  bool operator==(const NoiseSpec&) const = default;
};

/// Exactly one of y, from_atom and from_prior says where the measurement comes from.
struct MeasurementSpec {
  std::optional<ArrayRef> y;             ///< (m,)
  std::optional<std::size_t> from_atom;  ///< made from this atom, which is then left out of the prior
  bool from_prior = false;               ///< made from a draw of the prior
  std::uint64_t noise_seed = 0;
  bool operator==(const MeasurementSpec&) const = default;
};

struct GridSpec {
  std::size_t steps = 500;  ///< ≥ 1
  double t_max = 1.0;
  double t_min = 0.01;                        ///< 0 < t_min < t_max
  std::string spacing = "uniform";            ///< "uniform" | "log-snr" | "quadratic" | "karras"
  std::string integrator = "euler-maruyama";  ///< "euler-maruyama" | "ancestral" | "ddim" | "heun" | "exponential"
  double eta = 0.0;                           ///< in [0, 1], of "ddim": 1 is ancestral, 0 deterministic
  bool operator==(const GridSpec&) const = default;
};

struct RunSpec {
  std::size_t particles = 4096;  ///< ≥ 1
  std::uint64_t seed = 0;
  std::string precision = "f64";  ///< "f64" | "f32": a name of a tolerance
  double tolerance = 1e-12;       ///< in (0, 0.1], on a‖δm‖/(s√d) of every denoised mean; where it is not given, that of `precision`
  bool exact_scan = false;        ///< compute every atom in full in every step
  std::size_t record = 16;        ///< ≥ 1, number of recorded times
  bool operator==(const RunSpec&) const = default;
};

struct ModesSpec {
  std::string kind =
      "auto";  ///< "auto" (the prior's labels if there are any, else mean-shift) | "labels" | "atoms" | "mean-shift"
  std::optional<ArrayRef> labels;  ///< (N,); implies kind = "labels"
  std::optional<double> t;         ///< > 0, time of the mean shift; absent: the method's default
  bool operator==(const ModesSpec&) const = default;
};

struct SamplerEntry {
  std::string name;
  std::map<std::string, std::string> parameters;  ///< numbers in their shortest exact form: 0.3, 1, 1e-05; true, false
  bool operator==(const SamplerEntry&) const = default;
};

/// A problem file, resolved: defaults filled in, paths absolute, every number that can be judged alone in its range.
struct ProblemSpec {
  std::string title;
  std::string description;
  std::string source;  ///< citation
  std::string answer;  ///< what is known of the answer
  PriorSpec prior;
  ScheduleSpec schedule;
  OperatorSpec forward_operator;  ///< [operator]
  NoiseSpec noise;
  MeasurementSpec measurement;
  GridSpec grid;
  RunSpec run;
  ModesSpec modes;
  std::map<std::string, double> margins;  ///< check id → margin ≥ 0
  std::vector<SamplerEntry> samplers;     ///< [[sampler]]
  bool operator==(const ProblemSpec&) const = default;
};

/// Reads a problem file (TOML) strictly; paths in it are relative to its folder.
///
/// `overrides` are "table.key=value" with a TOML value, or a bare word for a string; they take the place of what the
/// file says. One of alternatives (y, from_atom, from_prior; sigma, covariance; precision, tolerance) displaces the others, and a kind
/// the keys of other kinds.
/// @throws DataError "file:line: key = value: rule" (syntax errors with the column too; path() is then "file:line");
///         UsageError for whatever an override is to blame for.
ProblemSpec read_problem_file(const std::string& path, const std::vector<std::string>& overrides = {});

/// The same for text from elsewhere; `source_name` stands for the file in messages, `folder` is where its paths begin
/// ("" is the working directory).
ProblemSpec parse_problem(std::string_view text, const std::string& source_name, const std::string& folder,
                          const std::vector<std::string>& overrides = {});

/// The problem as a file that reads back equal.
std::string to_toml(const ProblemSpec& problem);

/// The largest tolerance that may be asked for: beyond it a mean says little.
inline constexpr double kLargestTolerance = 0.1;
/// The tolerance that a precision stands for: "f64" 1e-12, "f32" 1e-6.
double tolerance_of_precision(std::string_view precision);

/// The operators, schedules and checks that a problem file may name.
std::vector<std::string> operator_kinds();
std::vector<std::string> schedule_kinds();
std::vector<std::string> check_ids();

}  // namespace fslens
