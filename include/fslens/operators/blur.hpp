// Separable blur of images.
#pragma once

#include <vector>

#include "fslens/operators/forward_operator.hpp"
#include "fslens/operators/image_shape.hpp"

namespace fslens {

/// How an image goes on beyond its border, along each axis of n pixels.
enum class Boundary {
  kPeriodic,    ///< x[−1] = x[n − 1]
  kReflecting,  ///< half-sample symmetric: x[−1] = x[0], x[n] = x[n − 1]
};

/// Gaussian kernel of 2·radius + 1 entries ∝ exp(−k² / 2 std²), |k| ≤ radius, that sum to 1.
/// @units std in pixels @throws InvalidArgument if std is not > 0.
std::vector<double> gaussian_kernel(double std, std::size_t radius);

/// Convolution of every channel with a vertical and a horizontal kernel,
/// y[i, j] = Σ_kl vertical[k] horizontal[l] x[i + r_v − k, j + r_h − l] where a kernel has 2r + 1 entries.
///
/// A kernel is thus the image of a point, centred on that point, and may be longer than its axis.
/// @cost O(d (r_v + r_h)) a row.
class BlurOperator final : public ForwardOperator {
 public:
  /// @throws InvalidArgument if a side of the image is 0, or a kernel has an even length or an entry that is not
  /// finite.
  BlurOperator(const ImageShape& shape, std::vector<double> vertical_kernel, std::vector<double> horizontal_kernel,
               Boundary boundary);

  std::string name() const override { return "blur"; }
  std::size_t input_dim() const override { return shape_.size(); }
  std::size_t output_dim() const override { return shape_.size(); }
  bool is_affine() const override { return true; }
  void apply(ConstBatchView x, BatchView y) const override;
  void vjp(ConstBatchView x, ConstBatchView v, BatchView out) const override;

 private:
  /// One axis of the image: `lines` runs of `length` pixels, each pixel `unit` contiguous numbers.
  struct Axis {
    std::size_t lines, length, unit;
    std::vector<double> kernel;
    std::vector<std::size_t> source;  ///< the pixel that stands at each place of a line extended by r on both sides
  };
  static Axis make_axis(std::size_t lines, std::size_t length, std::size_t unit, std::vector<double> kernel,
                        Boundary boundary);
  static void convolve(const Axis& axis, const double* in, double* out, std::vector<double>& extended);
  static void convolve_adjoint(const Axis& axis, const double* in, double* out, std::vector<double>& extended);

  ImageShape shape_;
  Axis vertical_;
  Axis horizontal_;
};

}  // namespace fslens
