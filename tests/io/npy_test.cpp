#include <gtest/gtest.h>

#include <cmath>

#include "fslens/io/array.hpp"
#include "io/scratch.hpp"

namespace fslens {
namespace {

using namespace fslens::test;

template <class Value>
const std::vector<Value>& held(const NumericArray& array) {
  return std::get<std::vector<Value>>(array.values);
}

std::string npy_complaint(const std::string& bytes) {
  const ScratchFolder folder;
  const std::string path = folder.write("a.npy", bytes);
  return message_of<DataError>([&] { read_array(path); });
}

TEST(NpyReader, ReadsEveryTypeOrderAndVersionThatNumpyWrites) {
  FSLENS_REQUIRE_NUMPY();
  const ScratchFolder folder;
  ASSERT_TRUE(run_python(folder, R"(
import io
v = np.array([[0, 1, 2], [3, 4, 100]])
for t in ['f2','f4','f8','i1','i2','i4','i8','u1','u2','u4','u8']:
    for order in '<>':
        np.save(f'{t}_{"le" if order == "<" else "be"}_c.npy', v.astype(order + t))
        np.save(f'{t}_{"le" if order == "<" else "be"}_f.npy', np.asfortranarray(v.astype(order + t)))
np.save('bool.npy', v > 1)
for major in (1, 2, 3):
    with open(f'version{major}.npy', 'wb') as f:
        np.lib.format.write_array(f, v.astype('f8'), version=(major, 0))
)"));
  const std::vector<double> expected = {0, 1, 2, 3, 4, 100};
  for (const std::string type : {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"}) {
    for (const std::string variant : {"le_c", "le_f", "be_c", "be_f"}) {
      SCOPED_TRACE(type + "_" + variant);
      const NumericArray array = read_array(folder.path(type + "_" + variant + ".npy"));
      EXPECT_EQ(array.shape, (std::vector<std::size_t>{2, 3}));
      EXPECT_EQ(array.to_double(), expected);
    }
  }
  EXPECT_EQ(read_array(folder.path("bool.npy")).to_double(), (std::vector<double>{0, 0, 1, 1, 1, 1}));
  EXPECT_EQ(read_array(folder.path("bool.npy")).stored_type, "bool");
  for (const std::string version : {"1", "2", "3"})
    EXPECT_EQ(read_array(folder.path("version" + version + ".npy")).to_double(), expected);
}

TEST(NpyReader, KeepsNativeTypesAndWidensTheOthersExactly) {
  const ScratchFolder folder;
  const auto read = [&](const std::string& descr, const std::string& data) {
    return read_array(
        folder.write("a.npy", npy_bytes("{'descr': '" + descr + "', 'fortran_order': False, 'shape': (2,), }", data)));
  };
  EXPECT_EQ(held<float>(read("<f4", raw<float>({1.5F, -2.25F}))), (std::vector<float>{1.5F, -2.25F}));
  EXPECT_EQ(held<double>(read("<f8", raw<double>({0.1, -1e300}))), (std::vector<double>{0.1, -1e300}));
  EXPECT_EQ(held<std::uint8_t>(read("|u1", "\x01\xff")), (std::vector<std::uint8_t>{1, 255}));
  EXPECT_EQ(held<std::int64_t>(read("<i2", raw<std::int16_t>({-32768, 7}))), (std::vector<std::int64_t>{-32768, 7}));
  const std::int64_t large = std::int64_t{1} << 62;
  EXPECT_EQ(held<std::int64_t>(read("<i8", raw<std::int64_t>({large, -large}))),
            (std::vector<std::int64_t>{large, -large}));
  // Halves: the largest finite one, and the smallest subnormal 2^-24.
  EXPECT_EQ(held<float>(read("<f2", raw<std::uint16_t>({0x7bff, 0x8001}))), (std::vector<float>{65504.0F, -0x1p-24F}));
  const auto special = held<float>(read("<f2", raw<std::uint16_t>({0xfc00, 0x7e00})));
  EXPECT_EQ(special[0], -INFINITY);
  EXPECT_TRUE(std::isnan(special[1]));
}

TEST(NpyReader, TransposesFortranOrderInThreeDimensions) {
  FSLENS_REQUIRE_NUMPY();
  const ScratchFolder folder;
  ASSERT_TRUE(run_python(folder, R"(
v = np.arange(600 * 31 * 29, dtype='f4').reshape(600, 31, 29)   # longer than one piece of reading
np.save('c.npy', v)
np.save('f.npy', np.asfortranarray(v))
assert b"'fortran_order': True" in open('f.npy', 'rb').read(128)
)"));
  EXPECT_EQ(read_array(folder.path("f.npy")), read_array(folder.path("c.npy")));
}

TEST(NpyReader, ReadsScalarsAndEmptyArrays) {
  const ScratchFolder folder;
  const auto scalar = read_array(
      folder.write("s.npy", npy_bytes("{'descr': '<f8', 'fortran_order': False, 'shape': ()}", raw<double>({2.5}))));
  EXPECT_TRUE(scalar.shape.empty());
  EXPECT_EQ(scalar.to_double(), std::vector<double>{2.5});
  const auto empty =
      read_array(folder.write("e.npy", npy_bytes("{'shape': (0, 3), \"descr\": '<f8', 'fortran_order': True}\n")));
  EXPECT_EQ(empty.shape, (std::vector<std::size_t>{0, 3}));
  EXPECT_EQ(empty.size(), 0U);
}

TEST(NpyReader, RefusesTypesThatAreNotRealNumbersByName) {
  const auto with_descr = [](const std::string& descr) {
    return npy_complaint(
        npy_bytes("{'descr': " + descr + ", 'fortran_order': False, 'shape': (1,), }", std::string(8, '\0')));
  };
  expect_contains(with_descr("'|O'"), "Python objects");
  expect_contains(with_descr("'<U4'"), "strings");
  expect_contains(with_descr("'|S4'"), "byte strings");
  expect_contains(with_descr("'<c8'"), "complex numbers");
  expect_contains(with_descr("'<M8[ns]'"), "datetime64");
  expect_contains(with_descr("'<m8[s]'"), "timedelta64");
  expect_contains(with_descr("'|V8'"), "raw records");
  expect_contains(with_descr("[('a', '<f4'), ('b', '<f4')]"), "structured array");
  expect_contains(with_descr("'<f16'"), "dtype '<f16' is not supported");
  expect_contains(with_descr("'f8'"), "dtype 'f8' is not supported");
  expect_contains(with_descr("'|f8'"), "dtype '|f8' is not supported");  // no byte order
}

TEST(NpyReader, NamesPathAndByteOffsetOfDamage) {
  const ScratchFolder folder;
  const std::string path = folder.write("b.npy", "PK\x03\x04 something else");
  const auto message = message_of<DataError>([&] { read_array(path); });
  expect_contains(message, path + ": not a .npy file: expected the bytes 93 4e 55 4d 50 59, found 50 4b 03 04");
  expect_contains(message, "(at byte 0)");
  expect_contains(npy_complaint(std::string("\x93NUMPY\x04\x00", 8)),
                  ".npy version 4.0, expected 1.0, 2.0 or 3.0 (at byte 6)");
  expect_contains(npy_complaint("\x93NUM"), "truncated: expected 6 bytes of the .npy magic, found 4 (at byte 0)");
  expect_contains(npy_complaint(""), "truncated");
  expect_contains(npy_complaint(std::string("\x93NUMPY\x01\x00\x76\x00{'descr'", 18)),
                  "truncated: expected 118 bytes of the .npy header, found 8 (at byte 10)");
  expect_contains(npy_complaint(std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12)), ".npy header of 4294967295 bytes");
}

TEST(NpyReader, RefusesHeadersThatLieAboutTheirSize) {
  const std::string two = raw<double>({1, 2});
  expect_contains(npy_complaint(npy_bytes("{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }", two)),
                  "truncated: expected 24 bytes of float64 data of shape (3,), found 16");
  expect_contains(npy_complaint(npy_bytes("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", two)),
                  "trailing data: expected 8 bytes of float64 data of shape (1,), found 16");
  // Each of these would overflow 64 bits, or ask for more than any machine has.
  for (const std::string shape : {"(9223372036854775808,)", "(18446744073709551617,)"})
    expect_contains(npy_complaint(npy_bytes("{'descr': '<f8', 'fortran_order': False, 'shape': " + shape + "}", two)),
                    "exceeds 2^63 - 1");
  for (const std::string shape : {"(9223372036854775807,)", "(4294967296, 4294967296)", "(4611686018427387904, 4, 0)"})
    expect_contains(npy_complaint(npy_bytes("{'descr': '<f8', 'fortran_order': False, 'shape': " + shape + "}", two)),
                    "too large");
  expect_contains(
      npy_complaint(npy_bytes("{'descr': '<f8', 'fortran_order': False, 'shape': (1152921504606846975,)}", two)),
      "truncated");
}

TEST(NpyReader, AcceptsNothingButThePlainDict) {
  const auto header = [](const std::string& text) { return npy_complaint(npy_bytes(text, std::string(8, '\0'))); };
  expect_contains(header("{'descr': '<f8', 'fortran_order': False}"), "lacks the key 'shape'");
  expect_contains(header("{'descr': '<f8', 'shape': (1,)}"), "lacks the key 'fortran_order'");
  expect_contains(header("{'shape': (1,), 'fortran_order': False}"), "lacks the key 'descr'");
  expect_contains(header("{'descr': '<f8', 'descr': '<f8'}"), "the header key 'descr' appears twice");
  expect_contains(header("{'descr': '<f8', 'colour': 1}"), "unknown header key 'colour'");
  expect_contains(header("{'descr': '<f8', 'fortran_order': Maybe}"), "expected True or False");
  expect_contains(header("{'descr': '<f8', 'fortran_order': False, 'shape': (1)}"),
                  "expected ',' after the only entry");
  expect_contains(header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}"),
                  "expected a non-negative integer");
  expect_contains(header("{'descr': '<f8', 'fortran_order': False, 'shape': (1.5,)}"), "expected ','");
  expect_contains(header("{'descr': '<f8', 'fortran_order': False, 'shape': (1,)} import os"), "nothing but blanks");
  expect_contains(header("{'descr': '<f8"), "a string that does not end");
  expect_contains(header("dict(descr='<f8')"), "expected '{' (at byte 10)");
  std::string deep = "(";
  for (int i = 0; i < 40; ++i) deep += "1,";
  expect_contains(header("{'descr': '<f8', 'fortran_order': False, 'shape': " + deep + ")}"), "40 dimensions");
}

TEST(NpyReader, RefusesValuesThatHaveNoExactPlace) {
  const std::string header = "{'descr': '<u8', 'fortran_order': False, 'shape': (2,)}";
  expect_contains(npy_complaint(npy_bytes(header, raw<std::uint64_t>({1, std::uint64_t{1} << 63}))),
                  "uint64 value 9223372036854775808");
  expect_contains(
      npy_complaint(npy_bytes("{'descr': '|b1', 'fortran_order': False, 'shape': (2,)}", std::string("\x01\x02", 2))),
      "boolean byte 2, expected 0 or 1");
  NumericArray big{{1}, std::vector<std::int64_t>{(std::int64_t{1} << 53) + 1}, ""};
  expect_contains(message_of<InvalidArgument>([&] { (void)big.to_double(); }), "array[0] = 9007199254740993");
}

}  // namespace
}  // namespace fslens
