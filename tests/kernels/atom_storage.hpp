// Atoms in every type that a file may have, with a reference for what their bits mean.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "fslens/kernels/atom_table.hpp"

namespace fslens::test {

/// IEEE 754 binary16: sign, 5 bits of exponent with bias 15, 10 bits of fraction.
inline double half_value(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31, fraction = bits & 1023;
  const double sign = (bits >> 15) != 0 ? -1.0 : 1.0;
  if (exponent == 31) return fraction != 0 ? std::numeric_limits<double>::quiet_NaN() : sign * HUGE_VAL;
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

/// The upper half of a binary32: sign, 8 bits of exponent with bias 127, 7 bits of fraction.
inline double bfloat_value(std::uint16_t bits) {
  const int exponent = (bits >> 7) & 255, fraction = bits & 127;
  const double sign = (bits >> 15) != 0 ? -1.0 : 1.0;
  if (exponent == 255) return fraction != 0 ? std::numeric_limits<double>::quiet_NaN() : sign * HUGE_VAL;
  if (exponent == 0) return sign * std::ldexp(fraction, -133);
  return sign * std::ldexp(128 + fraction, exponent - 134);
}

/// The largest half not beyond `value`, |value| < 65504.
inline std::uint16_t half_bits(double value) {
  const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double size = std::abs(value);
  if (size < 0x1p-14) return static_cast<std::uint16_t>(sign | static_cast<std::uint16_t>(std::ldexp(size, 24)));
  const int exponent = std::ilogb(size);
  const auto fraction = static_cast<std::uint16_t>(std::ldexp(size, 10 - exponent)) - 1024;
  return static_cast<std::uint16_t>(sign | ((exponent + 15) << 10) | fraction);
}

inline std::uint16_t bfloat_bits(double value) {
  return static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(static_cast<float>(value)) >> 16);
}

template <class Stored>
AtomData stored_atoms(AtomType type, std::vector<Stored> stored, std::size_t rows) {
  const auto owner = std::make_shared<const std::vector<Stored>>(std::move(stored));
  AtomData data;
  data.type = type;
  data.values = owner->data();
  data.owner = owner;
  data.rows = rows;
  return data;
}

/// The table of `values` [rows, d] cut to what `type` can hold, and the values that it holds. A uint8 is the nearest of
/// low + step · u; its value is the table's own, rounded once or twice.
inline std::pair<AtomTable, std::vector<double>> stored_table(AtomType type, const std::vector<double>& values,
                                                              std::size_t d, double low = -1.0,
                                                              double step = 2.0 / 255.0) {
  const std::size_t rows = values.size() / d;
  std::vector<double> held(values);
  const auto store = [&]<class Stored>(Stored, auto&& encode, auto&& decode) {
    std::vector<Stored> stored(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) held[i] = decode(stored[i] = encode(values[i]));
    return stored_atoms(type, std::move(stored), rows);
  };
  const auto same = [](auto value) { return static_cast<double>(value); };
  if (type == AtomType::float64)
    return {AtomTable(store(
                          double{}, [](double v) { return v; }, same),
                      d),
            held};
  if (type == AtomType::float32)
    return {AtomTable(store(
                          float{}, [](double v) { return static_cast<float>(v); }, same),
                      d),
            std::move(held)};
  if (type == AtomType::float16) return {AtomTable(store(std::uint16_t{}, half_bits, half_value), d), std::move(held)};
  if (type == AtomType::bfloat16)
    return {AtomTable(store(std::uint16_t{}, bfloat_bits, bfloat_value), d), std::move(held)};
  AtomData data = store(
      std::uint8_t{},
      [&](double v) { return static_cast<std::uint8_t>(std::lrint(std::min(255.0, std::max(0.0, (v - low) / step)))); },
      same);
  data.low = low;
  data.step = step;
  AtomTable table(data, d);
  for (std::size_t i = 0; i < rows; ++i) table.copy_atom(i, std::span<double>(held).subspan(i * d, d));
  return {std::move(table), std::move(held)};
}

}  // namespace fslens::test
