#include "fixed_point.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "error_bound.hpp"
#include "transpose_bytes.hpp"
#include "vector_digits.hpp"

namespace fslens::kernels {
namespace {

/// A table whose packed copies take more is packed anew for each pass: beside what a pass costs, that is little.
constexpr std::size_t kPackedBytes = std::size_t{4} << 20;

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

AtomBlock AtomPacker::pack(const AtomTable& atoms, const FixedPointFormat& format, std::span<const std::uint32_t> indices, std::size_t rows) {
  const std::size_t d = atoms.dim(), valid = indices.size();
  AtomBlock block;
  block.atoms = indices, block.rows = block.column_bytes = rows;
  block.row_bytes = rounded_up(d, kStepBytes);
  for (std::size_t m = 0; m < format.planes; ++m) {
    planes_[m].resize(rows * block.row_bytes);
    std::memset(planes_[m].data() + valid * block.row_bytes, 0, (rows - valid) * block.row_bytes);
    block.planes[m] = planes_[m].data();
  }
  std::vector<double> values(atoms.type() == AtomType::uint8 ? 0 : rounded_up(d, 8), format.low);
  std::uint8_t* to[kMaxPlanes];
  for (std::size_t r = 0; r < valid; ++r) {
    for (std::size_t m = 0; m < format.planes; ++m) {
      to[m] = planes_[m].data() + r * block.row_bytes;
      std::memset(to[m] + d, 0, block.row_bytes - d);
    }
    if (values.empty()) {
      std::memcpy(to[0], atoms.stored_atom(indices[r]), d);
    } else {
      atoms.copy_atom(indices[r], std::span(values).first(d));
      vector_planes(values.data(), values.size(), format.low, power_of_256(format.planes - 1) / format.unit, format.planes, to);
    }
  }
  return block;
}

void AtomPacker::transpose(const FixedPointFormat& format, std::size_t dim, AtomBlock& block) {
  const std::size_t columns = rounded_up(dim, kStripRows);
  for (std::size_t m = 0; m < format.planes; ++m) {
    transposed_[m].resize(columns * block.rows);
    transpose_bytes(block.planes[m], block.row_bytes, block.rows, columns, transposed_[m].data());
    block.transposed[m] = transposed_[m].data();
  }
}

const AtomBlock* SharedPackedAtoms::of(const AtomTable& atoms, const FixedPointFormat& format) {
  const std::size_t rows = rounded_up(atoms.count(), kStepBytes);
  if (2 * rows * rounded_up(atoms.dim(), kStepBytes) * format.planes > kPackedBytes) return nullptr;
  Packed& packed = packed_[format.planes - 1];
  std::call_once(packed.made, [&] {
    packed.indices.resize(atoms.count());
    std::iota(packed.indices.begin(), packed.indices.end(), std::uint32_t{0});
    packed.block = packed.packer.pack(atoms, format, packed.indices, rows);
    packed.packer.transpose(format, atoms.dim(), packed.block);
  });
  return &packed.block;
}

AtomBlock part_of_block(const AtomBlock& block, std::size_t first, std::size_t count) {
  AtomBlock part = block;
  part.atoms = block.atoms.subspan(first, count);
  part.rows = rounded_up(count, kStepBytes);
  for (std::size_t m = 0; m < kMaxPlanes && block.planes[m] != nullptr; ++m) {
    part.planes[m] = block.planes[m] + first * block.row_bytes;
    part.transposed[m] = block.transposed[m] + first;
  }
  return part;
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
