#include "stage.hpp"

#include <utility>

#include "fslens/rng/stream.hpp"

namespace fslens::benchmarks {
namespace {

constexpr std::uint64_t kSeed = 1;

}  // namespace

const Workload& Stage::workload(const Shape& shape) {
  if (shape_ == shape) return *workload_;
  states_.clear();
  products_.clear();
  references_.clear();
  textbook_.reset();
  tmpd_.reset();
  tmpd_features_ = {};
  prior_.reset();
  workload_.reset();  // before the next one takes its memory
  workload_.emplace(make_workload(shape.dim, shape.count));
  shape_ = shape;
  return *workload_;
}

const States& Stage::states(double t) {
  const auto found = states_.find(t);
  if (found != states_.end()) return found->second;
  States states;
  states.t = t;
  states.a = workload_->schedule.a(t);
  states.s2 = workload_->schedule.s2(t);
  for (std::size_t k = 0; k < kBatches; ++k) {
    states.x[k] = exact_draws(*workload_, workload_->log_prior, t, particles_, RandomStream(kSeed).child("states", k));
    states.single[k] = to_float(states.x[k].values());
  }
  return states_.emplace(t, std::move(states)).first->second;
}

const Products& Stage::products(double t) {
  const auto found = products_.find(t);
  if (found != products_.end()) return found->second;
  Products products{Matrix(particles_, workload_->dim()), {}};
  RandomStream(kSeed).child("directions").fill_normal(0, products.v);
  for (std::size_t k = 0; k < kBatches; ++k) {
    SoftAssignmentRequest request = full_pass_request(*workload_, states(t).x[k], t, kDoubleTolerance, false);
    request.log_weights.resize(1);
    products.mean[k] = std::move(soft_assignment(request).measures[0].mean);
  }
  return products_.emplace(t, std::move(products)).first->second;
}

const Reference& Stage::reference(double t, std::size_t row) {
  const std::pair key{t, row};
  const auto found = references_.find(key);
  if (found != references_.end()) return found->second;
  return references_.emplace(key, Reference(*workload_, states(t).x[0].row(row), t)).first->second;
}

Textbook& Stage::textbook() {
  if (textbook_ == nullptr)
    textbook_ = std::make_unique<Textbook>(single_precision(workload_->set.atoms), workload_->count(), workload_->dim(),
                                           std::array{to_float(workload_->log_prior), to_float(workload_->log_posterior)});
  return *textbook_;
}

const TmpdDirection& Stage::tmpd() {
  if (tmpd_ == nullptr) tmpd_ = std::make_unique<TmpdDirection>(*workload_);
  return *tmpd_;
}

const std::vector<float>& Stage::tmpd_features() {
  if (tmpd_features_.empty()) tmpd_features_ = projected_moments(workload_->set.atoms, tmpd().projection());
  return tmpd_features_;
}

std::shared_ptr<const EmpiricalPrior> Stage::prior() {
  if (prior_ == nullptr) prior_ = std::make_shared<EmpiricalPrior>(workload_->set.atoms);
  return prior_;
}

double Stage::rival_bytes(const Shape& shape, double arrays) const {
  const auto n = static_cast<double>(shape.count), d = static_cast<double>(shape.dim), b = static_cast<double>(particles_);
  return static_cast<double>(sizeof(float)) * (n * d + arrays * b * n);
}

}  // namespace fslens::benchmarks
