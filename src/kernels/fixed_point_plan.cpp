#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "error_bound.hpp"
#include "fixed_point_pass.hpp"
#include "lane_digits.hpp"
#include "lane_queries.hpp"
#include "squared_distance.hpp"
#include "vector_digits.hpp"

namespace fslens::kernels {
namespace {

/// What all that is left out may come to, of the tolerance: estimates err.
constexpr double kMargin = 0.8;
/// C v has no tolerance of its own: its relative error from the tilt stays within this many times that of the mean.
constexpr double kProductShare = 64.0;
/// Of the tolerance: weights below the floor.
constexpr double kFloorShare = 0.1;

/// The heaviest atom of a block in units of that of all, on the average.
constexpr double kPeakShare = 0.5;

std::size_t most_planes(const AtomTable& atoms) { return atoms.type() == AtomType::uint8 ? 1 : kMaxPlanes; }

/// The largest of what a plan's errors grow with, over the particles.
struct PlanSize {
  double largest = 0.0, norm = 0.0;  // of q
  double crowding[2] = {};           // by measure
  double peak[2] = {};               // the largest weight in units of the mean, by measure
  double variance = 0.0;
};

PlanSize plan_size(const SoftAssignmentRequest& request, std::span<const std::size_t> particles, const Probe& probe) {
  const AtomTable& atoms = *request.atoms;
  const auto center = atoms.center();
  std::vector<double> q(center.size());
  PlanSize size;
  for (std::size_t p = 0; p < particles.size(); ++p) {
    const auto x = request.x.row(particles[p]);
    for (std::size_t k = 0; k < q.size(); ++k) q[k] = x[k] - request.a * center[k];
    size.largest = std::max(size.largest, vector_largest(q.data(), q.size()));
    size.norm = std::max(size.norm, std::sqrt(squared_norm(q)));
    for (std::size_t m = 0; m < 2; ++m) {
      size.crowding[m] = std::max(size.crowding[m], probe.crowding[m][p]);
      if (std::isfinite(probe.log_mean[m][p])) size.peak[m] = std::max(size.peak[m], std::exp(probe.reference[m][p] - probe.log_mean[m][p]));
    }
    size.variance = std::max(size.variance, probe.variance[p]);
  }
  if (request.guided != nullptr) {  // it is Σ w ‖x_i − x̄‖² that bounds it
    double sum = 0.0;
    for (const double norm : atoms.centered_squared_norms()) sum += norm;
    size.variance = std::max(size.variance, (1.0 + request.a * request.a) * sum / static_cast<double>(atoms.count()));
  }
  return size;
}

/// Products of a digit and a plane that are made.
double num_products(std::size_t digits, std::size_t planes, std::size_t orders) {
  double count = 0.0;
  for (std::size_t l = 0; l < digits; ++l)
    for (std::size_t m = 0; m < planes; ++m) count += l + m < orders ? 1.0 : 0.0;
  return count;
}

/// Estimates of the error of a mean, in units of the tolerance, that each choice of digits brings.
class PlanErrors {
 public:
  PlanErrors(const SoftAssignmentRequest& request, const PlanSize& size)
      : request_(request), size_(size), root_(std::sqrt(static_cast<double>(request.atoms->dim()))), slope_(request.a / request.s2),
        scale_(request.a / (std::sqrt(request.s2) * root_ * request.tolerance)),
        deviation_(judges_mean(request) ? scale_ * std::sqrt(size.variance) : kUsualDeviation / request.tolerance) {
    for (std::size_t planes = 1; planes <= most_planes(*request.atoms); ++planes) formats_.push_back(fixed_point_format(*request.atoms, planes));
  }

  /// Of an atom's weight: ‖x_i − m‖ may be a third more than the radius.
  double reach() const { return 1.3 * scale_ * request_.atoms->radius(); }

  double logits(std::size_t digits, std::size_t planes, std::size_t orders) const {
    const FixedPointFormat& format = formats_[planes - 1];
    const double tilt = slope_ * 0.3 * root_ * size_.largest / 127.0 / power_of_256(digits - 1);
    const double radius = request_.atoms->radius();
    if (asks_product() && tilt * radius > kProductShare * request_.tolerance) return std::numeric_limits<double>::infinity();
    const double dropped = slope_ * size_.largest / 127.0 * format.unit * dropped_orders(digits, planes, orders, root_ * root_);
    const double tilted = judges_mean(request_) ? scale_ * size_.variance * tilt : deviation_ * tilt * radius;
    const double single = kPowerError + 8.0 * kSingleUnit;
    // What the planes leave of the atoms is missing in the logits, and in the mean.
    const double mean = judges_mean(request_) ? scale_ * format.residual : 0.0;
    return tilted + mean + deviation_ * (slope_ * size_.norm * format.residual + dropped + single);
  }

  double weights(std::size_t measure, std::size_t digits, std::size_t planes, std::size_t orders) const {
    const double loss = 0.25 / 127.0 / power_of_256(digits - 1);
    const double dropped = scale_ * root_ * formats_[planes - 1].unit / 127.0 * dropped_orders(digits, planes, orders, 1.0);
    // Crowding counts the atoms that matter; what is dropped is bounded for every row of a block by the heaviest, which few blocks have.
    return size_.crowding[measure] * loss * reach() + std::max(1.5 * size_.crowding[measure], kPeakShare * size_.peak[measure]) * dropped;
  }

 private:
  bool asks_product() const { return asks_second_sweep(request_); }

  const SoftAssignmentRequest& request_;
  const PlanSize& size_;
  double root_, slope_, scale_, deviation_;
  std::vector<FixedPointFormat> formats_;
};

/// The cheapest weights of a measure whose error is at most `most`; all digits if there are none.
void choose_weights(const PlanErrors& errors, std::size_t measure, double most, FixedPointPlan& plan) {
  double least = std::numeric_limits<double>::infinity();
  plan.weight_digits[measure] = kMaxDigits, plan.weight_orders[measure] = kMaxDigits + plan.planes - 1;
  for (std::size_t digits = 2; digits <= kMaxDigits; ++digits)
    for (std::size_t orders = std::max(digits, plan.planes); orders < digits + plan.planes; ++orders) {
      const double products = num_products(digits, plan.planes, orders);
      if (products >= least || errors.weights(measure, digits, plan.planes, orders) > most) continue;
      least = products;
      plan.weight_digits[measure] = digits, plan.weight_orders[measure] = orders;
    }
}

}  // namespace

FixedPointPlan most_digits(const SoftAssignmentRequest& request) {
  FixedPointPlan plan;
  plan.planes = most_planes(*request.atoms);
  plan.orders = plan.weight_orders[0] = plan.weight_orders[1] = kMaxDigits + plan.planes - 1;
  return plan;
}

FixedPointPlan plan_fixed_point(const SoftAssignmentRequest& request, std::span<const std::size_t> particles, const Probe& probe) {
  const PlanSize size = plan_size(request, particles, probe);
  const PlanErrors errors(request, size);
  constexpr double kMost = kMargin - 0.5 * kFloorShare;
  FixedPointPlan best = most_digits(request);
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t planes = 1; planes <= most_planes(*request.atoms); ++planes)
    for (std::size_t digits = 2; digits <= kMaxDigits; ++digits)
      for (std::size_t orders = std::max(digits, planes); orders < digits + planes; ++orders) {
        const double left = kMost - errors.logits(digits, planes, orders);
        if (!(left > 0.0)) continue;
        FixedPointPlan plan{.query_digits = digits, .planes = planes, .orders = orders};
        for (std::size_t m = 0; m < request.log_weights.size(); ++m) choose_weights(errors, m, left, plan);
        const double products = num_products(digits, planes, orders) +
                                (judges_mean(request) ? num_products(plan.weight_digits[0], planes, plan.weight_orders[0]) : 0.0);
        if (products >= least) continue;
        least = products, best = plan;
      }
  best.floor = kFloorShare / errors.reach();
  best.expected = errors.logits(best.query_digits, best.planes, best.orders) + 0.5 * kFloorShare;
  double of_weights = 0.0;
  for (std::size_t m = 0; m < request.log_weights.size(); ++m)
    of_weights = std::max(of_weights, errors.weights(m, best.weight_digits[m], best.planes, best.weight_orders[m]));
  best.expected += of_weights;
  return best;
}

}  // namespace fslens::kernels
