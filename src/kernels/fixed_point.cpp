#include "fixed_point.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "error_bound.hpp"
#include "vector_digits.hpp"
#include "transpose_bytes.hpp"

namespace fslens::kernels {
namespace {

/// `values` has room for d rounded up to 8.
void write_planes(const AtomTable& atoms, const FixedPointFormat& format, std::size_t atom, std::size_t row, std::span<double> values,
                  AtomBlock& block) {
  atoms.copy_atom(atom, values.first(atoms.dim()));
  const double inverse = power_of_256(format.planes - 1) / format.unit;
  std::uint8_t* to[kMaxPlanes];
  for (std::size_t m = 0; m < format.planes; ++m) to[m] = block.planes[m].data() + row * block.row_bytes;
  vector_planes(values.data(), values.size(), format.low, inverse, format.planes, to);
}

void clear_digits(std::size_t lane, LaneDigits& out) {
  std::int8_t* to = out.digits.data() + (lane / kLanes) * out.group_stride + lane % kLanes * 4;
  for (std::size_t at = 0; at < out.group_stride; at += kStepBytes) std::memset(to + at, 0, 4);
}

}  // namespace

FixedPointFormat fixed_point_format(const AtomTable& atoms, std::size_t planes) {
  const double root = std::sqrt(static_cast<double>(atoms.dim()));
  const double range = atoms.high() - atoms.low();
  const double largest = std::max(std::abs(atoms.low()), std::abs(atoms.high()));
  FixedPointFormat format;
  format.low = atoms.low();
  if (atoms.type() == AtomType::uint8) {
    format.unit = range / 255.0;
    format.residual = 4.0 * kUnit * (largest + range) * root;
    return format;
  }
  format.planes = planes;
  const double levels = power_of_256(planes) - 1.0;
  const double step = range > 0.0 ? range / levels : 1.0;
  format.unit = step * power_of_256(planes - 1);
  // Half a step, and the rounding of x − low and of the quotient (2³² levels of 2⁻⁵²).
  format.residual = (0.5 * step * (1.0 + 1e-5) + 4.0 * kUnit * (largest + range)) * root;
  return format;
}

void pack_atoms(const AtomTable& atoms, const FixedPointFormat& format, std::span<const std::uint32_t> indices, std::size_t rows,
                AtomBlock& block) {
  const std::size_t d = atoms.dim(), valid = indices.size();
  block.atoms = indices, block.rows = rows;
  block.row_bytes = rounded_up(d, kStepBytes);
  for (std::size_t m = 0; m < format.planes; ++m) {
    block.planes[m].resize(rows * block.row_bytes);
    std::memset(block.planes[m].data() + valid * block.row_bytes, 0, (rows - valid) * block.row_bytes);
  }
  std::vector<double> values(atoms.type() == AtomType::uint8 ? 0 : rounded_up(d, 8), format.low);
  for (std::size_t r = 0; r < valid; ++r) {
    for (std::size_t m = 0; m < format.planes; ++m) {
      std::uint8_t* row = block.planes[m].data() + r * block.row_bytes;
      std::memset(row + d, 0, block.row_bytes - d);
      if (values.empty()) std::memcpy(row, atoms.stored_atom(indices[r]), d);
    }
    if (!values.empty()) write_planes(atoms, format, indices[r], r, values, block);
  }
}

void transpose_atoms(const FixedPointFormat& format, std::size_t dim, AtomBlock& block) {
  const std::size_t columns = rounded_up(dim, kStripRows);
  for (std::size_t m = 0; m < format.planes; ++m) {
    block.transposed[m].resize(columns * block.rows);
    transpose_bytes(block.planes[m].data(), block.row_bytes, block.rows, columns, block.transposed[m].data());
  }
}

LaneDigits lane_digits_for(std::size_t groups, std::size_t vectors, std::size_t dim, std::size_t num_digits) {
  LaneDigits out;
  out.num_digits = num_digits;
  out.digit_stride = rounded_up(dim, kStepBytes) * kLanes;
  out.group_stride = num_digits * out.digit_stride;
  out.digits.resize(groups * out.group_stride);
  const std::size_t written = dim % kStepBytes == 0 ? vectors / kLanes : 0;  // groups of which every byte will be
  std::memset(out.digits.data() + written * out.group_stride, 0, (groups - written) * out.group_stride);
  out.scale.assign(groups * kLanes, 0.0);
  out.lost.assign(groups * kLanes, 0.0);
  return out;
}

void write_digits(std::span<const double> q, double scale, std::size_t lane, LaneDigits& out, std::span<double> rounded) {
  const double root = std::sqrt(static_cast<double>(q.size()));
  if (!(scale > 0.0)) {
    std::ranges::fill(rounded, 0.0);
    out.lost[lane] = vector_largest(q.data(), q.size()) * root;
    clear_digits(lane, out);
    return;
  }
  const double places = power_of_256(out.num_digits - 1);
  out.scale[lane] = scale;
  const double forward = 1.0 / scale * places, back = scale / places;
  std::int8_t* to = out.digits.data() + (lane / kLanes) * out.group_stride + lane % kLanes * 4;
  const double lost = vector_digits(q.data(), q.size(), out.num_digits, forward, back, to, out.digit_stride, rounded.data());
  out.lost[lane] = std::sqrt(lost) * (1.0 + 1e-10) + 4.0 * kUnit * 128.0 * scale * root;
}

}  // namespace fslens::kernels
