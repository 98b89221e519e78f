// Aligned scratch memory that passes take and give back again and again.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

namespace fslens::kernels {

/// 64-byte aligned bytes. Larger ones come from a store of what was given back, in all at most 96 MiB: the system hands out pages
/// filled with zeros, one fault each, and in a pass of a few milliseconds that took a tenth of the time.
struct AlignedBytes {
  void* data = nullptr;
  std::size_t size = 0;
};
AlignedBytes take_bytes(std::size_t size);
void give_bytes(AlignedBytes bytes);

/// An array in such memory; its values are not initialised.
template <class T>
class AlignedArray {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  AlignedArray() = default;
  explicit AlignedArray(std::size_t size) { resize(size); }
  AlignedArray(AlignedArray&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  AlignedArray& operator=(AlignedArray&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~AlignedArray() { give_bytes(bytes_); }
  /// Contents are lost where it grows.
  void resize(std::size_t size) {
    if (size * sizeof(T) <= bytes_.size) return;
    give_bytes(std::exchange(bytes_, {}));
    bytes_ = take_bytes(size * sizeof(T));
  }
  T* data() const { return static_cast<T*>(bytes_.data); }
  bool empty() const { return bytes_.size == 0; }

 private:
  AlignedBytes bytes_;
};

}  // namespace fslens::kernels
