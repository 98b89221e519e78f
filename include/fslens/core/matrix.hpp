// Row-major dense matrices and the views that every room passes around.
#pragma once

#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace fslens {

/// A view of a row-major matrix that somebody else owns. Cheap to copy; never null where rows·cols > 0.
template <class T>
class MatrixView {
 public:
  MatrixView() = default;
  MatrixView(T* data, std::size_t rows, std::size_t cols) : MatrixView(data, rows, cols, cols) {}
  MatrixView(T* data, std::size_t rows, std::size_t cols, std::size_t stride)
      : data_(data), rows_(rows), cols_(cols), stride_(stride) {}
  /// A mutable view is also a const one.
  template <class U>
    requires(std::is_const_v<T> && std::is_same_v<std::remove_const_t<T>, U>)
  MatrixView(MatrixView<U> other)  // NOLINT(google-explicit-constructor)
      : MatrixView(other.data(), other.rows(), other.cols(), other.stride()) {}

  T* data() const { return data_; }
  std::size_t rows() const { return rows_; }
  std::size_t cols() const { return cols_; }
  std::size_t stride() const { return stride_; }
  std::size_t size() const { return rows_ * cols_; }
  bool empty() const { return size() == 0; }

  T& operator()(std::size_t i, std::size_t j) const { return data_[i * stride_ + j]; }
  std::span<T> row(std::size_t i) const { return {data_ + i * stride_, cols_}; }
  MatrixView rows_from(std::size_t first, std::size_t count) const {
    return {data_ + first * stride_, count, cols_, stride_};
  }

 private:
  T* data_ = nullptr;
  std::size_t rows_ = 0;
  std::size_t cols_ = 0;
  std::size_t stride_ = 0;
};

/// An owned row-major matrix of doubles. Batches are [num_particles, dim]: one state a row.
class Matrix {
 public:
  Matrix() = default;
  Matrix(std::size_t rows, std::size_t cols, double value = 0.0)
      : rows_(rows), cols_(cols), values_(rows * cols, value) {}
  Matrix(std::size_t rows, std::size_t cols, std::vector<double> values)
      : rows_(rows), cols_(cols), values_(std::move(values)) {}
  explicit Matrix(MatrixView<const double> view) : Matrix(view.rows(), view.cols()) {
    for (std::size_t i = 0; i < rows_; ++i)
      for (std::size_t j = 0; j < cols_; ++j) (*this)(i, j) = view(i, j);
  }

  std::size_t rows() const { return rows_; }
  std::size_t cols() const { return cols_; }
  std::size_t size() const { return values_.size(); }
  bool empty() const { return values_.empty(); }
  double* data() { return values_.data(); }
  const double* data() const { return values_.data(); }
  double& operator()(std::size_t i, std::size_t j) { return values_[i * cols_ + j]; }
  double operator()(std::size_t i, std::size_t j) const { return values_[i * cols_ + j]; }
  std::span<double> row(std::size_t i) { return {values_.data() + i * cols_, cols_}; }
  std::span<const double> row(std::size_t i) const { return {values_.data() + i * cols_, cols_}; }
  std::span<double> values() { return values_; }
  std::span<const double> values() const { return values_; }

  MatrixView<double> view() { return {values_.data(), rows_, cols_}; }
  MatrixView<const double> view() const { return {values_.data(), rows_, cols_}; }
  operator MatrixView<double>() { return view(); }              // NOLINT(google-explicit-constructor)
  operator MatrixView<const double>() const { return view(); }  // NOLINT(google-explicit-constructor)

 private:
  std::size_t rows_ = 0;
  std::size_t cols_ = 0;
  std::vector<double> values_;
};

/// A batch of states, one a row: [num_particles, dim].
using BatchView = MatrixView<double>;
using ConstBatchView = MatrixView<const double>;

}  // namespace fslens
