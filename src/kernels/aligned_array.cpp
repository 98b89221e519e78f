#include "aligned_array.hpp"

#include <algorithm>
#include <mutex>
#include <new>
#include <vector>

namespace fslens::kernels {
namespace {

constexpr std::size_t kStored = std::size_t{96} << 20;
/// Below this the allocator keeps memory itself.
constexpr std::size_t kLarge = std::size_t{64} << 10;
constexpr std::align_val_t kAlignment{64};

/// What was given back, the last given first.
class Store {
 public:
  /// The smallest that fits and is not twice too large; nothing if there is none.
  AlignedBytes take(std::size_t size) {
    const std::lock_guard lock(mutex_);
    auto best = free_.end();
    for (auto it = free_.begin(); it != free_.end(); ++it)
      if (it->size >= size && it->size <= 2 * size && (best == free_.end() || it->size <= best->size)) best = it;
    if (best == free_.end()) return {};
    const AlignedBytes found = *best;
    held_ -= found.size;
    free_.erase(best);
    return found;
  }
  /// False if the store is full.
  bool give(AlignedBytes bytes) {
    const std::lock_guard lock(mutex_);
    if (held_ + bytes.size > kStored) return false;
    held_ += bytes.size;
    free_.push_back(bytes);
    return true;
  }

 private:
  std::mutex mutex_;
  std::vector<AlignedBytes> free_;
  std::size_t held_ = 0;
};

/// Never destroyed: arrays of other static objects may be given back after it would be.
Store& store() {
  static Store& only = *new Store;
  return only;
}

}  // namespace

AlignedBytes take_bytes(std::size_t size) {
  if (size == 0) return {};
  if (size >= kLarge)
    if (const AlignedBytes stored = store().take(size); stored.data != nullptr) return stored;
  return {::operator new(size, kAlignment), size};
}

void give_bytes(AlignedBytes bytes) {
  if (bytes.data == nullptr) return;
  if (bytes.size >= kLarge && store().give(bytes)) return;
  ::operator delete(bytes.data, kAlignment);
}

}  // namespace fslens::kernels
