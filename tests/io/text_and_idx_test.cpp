#include <gtest/gtest.h>

#include <cmath>

#include "fslens/io/array.hpp"
#include "io/scratch.hpp"

namespace fslens {
namespace {

using namespace fslens::test;

using Shape = std::vector<std::size_t>;

NumericArray csv(std::string_view text) {
  const ScratchFolder folder;
  return read_array(folder.write("table.csv", text));
}

std::string csv_complaint(std::string_view text) {
  const ScratchFolder folder;
  const std::string path = folder.write("table.csv", text);
  const std::string message = message_of<DataError>([&] { read_array(path); });
  expect_contains(message, path + ": ");
  return message;
}

TEST(CsvReader, FindsTheSeparator) {
  const std::vector<double> expected = {1, 2.5, -3e2, 4};
  for (const std::string_view text : {"1,2.5\n-3e2,4\n", "1;2.5\n-3e2;4", "1\t2.5\r\n-3e2\t4\r\n",
                                      "  1   2.5 \n -3e2 4\n", "1 , 2.5\n\"-3e2\", +4\n\n\n",
                                      "\xEF\xBB\xBF"
                                      "1,2.5\n-3e2,4\n"}) {
    SCOPED_TRACE(std::string(text));
    const NumericArray array = csv(text);
    EXPECT_EQ(array.shape, (Shape{2, 2}));
    EXPECT_EQ(array.to_double(), expected);
  }
}

TEST(CsvReader, DetectsHeaderRows) {
  EXPECT_EQ(csv("x,\"y, or so\",label\n1,2,3\n").to_double(), (std::vector<double>{1, 2, 3}));
  EXPECT_EQ(csv("# written by numpy.savetxt\n1 2\n3 4\n").shape, (Shape{2, 2}));
  EXPECT_EQ(csv("value\n1\n2\n3\n").shape, (Shape{3, 1}));
  EXPECT_EQ(csv("1\n2\n3").shape, (Shape{3, 1}));  // no header
}

TEST(CsvReader, KeepsNonFiniteNumbersAsTheyAre) {
  const auto values = csv("1,nan\ninf,-inf\n").to_double();
  EXPECT_TRUE(std::isnan(values[1]));
  EXPECT_EQ(values[2], INFINITY);
  EXPECT_EQ(values[3], -INFINITY);
}

TEST(CsvReader, SaysWhereATableIsWrong) {
  expect_contains(csv_complaint("1,2,3\n4,5\n"), "line 2: expected 3 columns, found 2");
  expect_contains(csv_complaint("a,b\n1,2\n3,4,5\n"), "line 3: expected 2 columns, found 3");
  expect_contains(csv_complaint("1,2\n3,4x\n"), "line 2, column 2: '4x' is not a number");
  expect_contains(csv_complaint("1,abc,3\n"), "line 1, column 2: 'abc' is not a number");
  expect_contains(csv_complaint("1,2\n3,\n"), "line 2, column 2: '' is not a number");
  expect_contains(csv_complaint("1,2\n3,1e999\n"), "line 2, column 2: '1e999' is not a number");
  expect_contains(csv_complaint("1,5;2,5\n3,5;4,5\n"), "line 2, column 1: '3,5' is not a number");
  expect_contains(csv_complaint("1,2\n\n3,4\n"), "line 2: blank line between rows");
  expect_contains(csv_complaint(""), "holds no rows of numbers");
  expect_contains(csv_complaint("x,y\n"), "holds no rows of numbers");
}

TEST(CsvReader, ReadsGzippedTables) {
  const ScratchFolder folder;
  std::string text;
  for (int row = 0; row < 20000; ++row) text += std::to_string(row) + "," + std::to_string(row % 17) + "\n";
  const NumericArray array = read_array(folder.write_gzip("t.csv.gz", text));
  EXPECT_EQ(array.shape, (Shape{20000, 2}));
  EXPECT_EQ(array.to_double()[39998], 19999);
  EXPECT_EQ(array, read_array(folder.write("t.csv", text)));
  const std::string packed = bytes_of(folder.path("t.csv.gz"));
  expect_contains(
      message_of<DataError>([&] { read_array(folder.write("cut.csv.gz", packed.substr(0, packed.size() / 2))); }),
      "the gzip stream ends too early");
  std::string flipped = packed;
  flipped[packed.size() / 2] ^= 0x10;
  EXPECT_THROW(read_array(folder.write("flipped.csv.gz", flipped)), DataError);
  // Two members one after the other are one stream.
  EXPECT_EQ(read_array(folder.write("twice.csv.gz", packed + packed)).shape, (Shape{40000, 2}));
}

TEST(IdxReader, ReadsPlainAndGzippedFilesByNameOrMagic) {
  const ScratchFolder folder;
  const std::string images("\0\0\x08\x03\0\0\0\2\0\0\0\1\0\0\0\3\x00\x01\x02\xfd\xfe\xff", 22);
  for (const std::string& path :
       {folder.write("t10k-images-idx3-ubyte", images), folder.write("images.bin", images),
        folder.write_gzip("train-images-idx3-ubyte.gz", images), folder.write_gzip("images.gz", images)}) {
    SCOPED_TRACE(path);
    const NumericArray array = read_array(path);
    EXPECT_EQ(array.shape, (Shape{2, 1, 3}));
    EXPECT_EQ(std::get<std::vector<std::uint8_t>>(array.values), (std::vector<std::uint8_t>{0, 1, 2, 253, 254, 255}));
  }
}

TEST(IdxReader, ReadsBigEndianNumbers) {
  const ScratchFolder folder;
  const auto read = [&](const std::string& bytes) { return read_array(folder.write("a.idx", bytes)).to_double(); };
  EXPECT_EQ(read(std::string("\0\0\x09\1\0\0\0\2\xff\x01", 10)), (std::vector<double>{-1, 1}));
  EXPECT_EQ(read(std::string("\0\0\x0b\1\0\0\0\2\x01\x02\xff\xfe", 12)), (std::vector<double>{258, -2}));
  EXPECT_EQ(read(std::string("\0\0\x0c\1\0\0\0\1\0\1\0\0", 12)), (std::vector<double>{65536}));
  EXPECT_EQ(read(std::string("\0\0\x0d\1\0\0\0\1\x3f\xc0\0\0", 12)), (std::vector<double>{1.5}));
  EXPECT_EQ(read(std::string("\0\0\x0e\1\0\0\0\1\xc0\x04\0\0\0\0\0\0", 16)), (std::vector<double>{-2.5}));
}

TEST(IdxReader, ChecksMagicTypeExtentsAndLength) {
  const ScratchFolder folder;
  const auto complaint = [&](const std::string& bytes) {
    const std::string path = folder.write("a.idx", bytes);
    return message_of<DataError>([&] { read_array(path); });
  };
  expect_contains(complaint(std::string("\1\0\x08\1", 4)), "expected two zero bytes, found 01 00 (at byte 0)");
  expect_contains(complaint(std::string("\0\0\x0a\1", 4)),
                  "IDX element type 0x0a, expected 08, 09, 0b, 0c, 0d or 0e (at byte 2)");
  expect_contains(complaint(std::string("\0\0\x08\0", 4)), "0 IDX dimensions, expected 1 to 8 (at byte 3)");
  expect_contains(complaint(std::string("\0\0\x08\x09", 4)), "9 IDX dimensions");
  expect_contains(complaint(std::string("\0\0\x08\2\0\0\0\2\0\0", 10)),
                  "truncated: expected 4 bytes of an IDX extent, found 2 (at byte 8)");
  expect_contains(complaint(std::string("\0\0\x08\1\0\0\0\2\7", 9)),
                  "truncated: expected 2 bytes of uint8 data of shape (2,), found 1");
  expect_contains(complaint(std::string("\0\0\x08\1\0\0\0\1\7\7", 10)), "trailing data: expected 1 bytes");
  expect_contains(complaint(std::string("\0\0\x08\3\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 16)),
                  "too large");
  // Compressed: the real length is known only at its end, an impossible one beforehand.
  const std::string path = folder.write_gzip("lie.idx.gz", std::string("\0\0\x08\2\xff\xff\xff\xff\0\0\xff\xff\7", 13));
  expect_contains(message_of<DataError>([&] { read_array(path); }), "found at most");
  const std::string short_path = folder.write_gzip("short.idx.gz", std::string("\0\0\x08\1\0\0\0\3\7\7", 10));
  expect_contains(message_of<DataError>([&] { read_array(short_path); }),
                  "truncated: expected 3 bytes of array data, found 2");
  const std::string long_path = folder.write_gzip("long.idx.gz", std::string("\0\0\x08\1\0\0\0\1\7\7", 10));
  expect_contains(message_of<DataError>([&] { read_array(long_path); }), "trailing data");
}

}  // namespace
}  // namespace fslens
