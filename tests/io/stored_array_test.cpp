// Arrays as their files hold them: mapped where that is the same as reading, read where it is not.
#include "fslens/io/stored_array.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>

#include "io/scratch.hpp"

namespace fslens {
namespace {

using namespace fslens::test;

constexpr std::size_t kRows = 1 << 11;
constexpr std::size_t kColumns = 1 << 9;  // 2^20 elements: mapped whatever the type

/// A .npy in C order whose header is padded to 64 bytes as numpy's are.
std::string padded_npy(const std::string& descr, const std::string& data, bool fortran_order = false,
                       std::size_t rows = kRows) {
  std::string header = "{'descr': '" + descr + "', 'fortran_order': " + (fortran_order ? "True" : "False") + ", 'shape': (" +
                       std::to_string(rows) + ", " + std::to_string(kColumns) + "), }";
  while ((10 + header.size() + 1) % 64 != 0) header += ' ';
  return npy_bytes(header + "\n", data);
}

/// Bytes that repeat after a prime number of them, so that no two rows are alike; no exponent is that of NaN.
std::string pattern(std::size_t width) {
  std::string data(kRows * kColumns * width, '\0');
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i % 251 % 64);
  return data;
}

std::string stored_bytes(const StoredArray& array, std::size_t width) {
  return {static_cast<const char*>(array.values), array.size() * width};
}

/// .safetensors with `before` bytes in front of the tensor "x".
std::string safetensors_file(const std::string& dtype, const std::string& data, std::size_t before) {
  std::string header = R"({"a":{"dtype":"U8","shape":[)" + std::to_string(before) + R"(],"data_offsets":[0,)" +
                       std::to_string(before) + R"(]},"x":{"dtype":")" + dtype + R"(","shape":[)" + std::to_string(kRows) +
                       "," + std::to_string(kColumns) + R"(],"data_offsets":[)" + std::to_string(before) + "," +
                       std::to_string(before + data.size()) + "]}}";
  while (header.size() % 8 != 0) header += ' ';
  return raw<std::uint64_t>({header.size()}) + header + std::string(before, '\x07') + data;
}

struct Kept {
  std::string descr;  ///< of .npy; empty: there is none
  std::string dtype;  ///< of .safetensors
  StoredType type;
  std::size_t width;
};
const std::vector<Kept> kKept = {{"<f8", "F64", StoredType::float64, 8},
                                 {"<f4", "F32", StoredType::float32, 4},
                                 {"<f2", "F16", StoredType::float16, 2},
                                 {"", "BF16", StoredType::bfloat16, 2},
                                 {"|u1", "U8", StoredType::uint8, 1}};

TEST(StoredArray, MapsEveryTypeThatIsKeptByteForByte) {
  const ScratchFolder folder;
  for (const Kept& kept : kKept) {
    SCOPED_TRACE(kept.dtype);
    const std::string data = pattern(kept.width);
    std::vector<std::string> paths = {folder.write("a.safetensors", safetensors_file(kept.dtype, data, 16)) + ":x"};
    if (!kept.descr.empty()) {
      paths.push_back(folder.write("a.npy", padded_npy(kept.descr, data)));
      folder.write("archive/x.npy", padded_npy(kept.descr, data));
      paths.push_back(folder.path("archive") + ":x");
    }
    for (const std::string& path : paths) {
      SCOPED_TRACE(path);
      const StoredArray array = open_array(path);
      EXPECT_TRUE(array.is_mapped);
      EXPECT_EQ(array.type, kept.type);
      EXPECT_EQ(array.shape, (std::vector<std::size_t>{kRows, kColumns}));
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(array.values) % kept.width, 0u) << "aligned";
      EXPECT_TRUE(stored_bytes(array, kept.width) == data);
    }
  }
}

TEST(StoredArray, MapsEveryVersionOfTheHeader) {
  const ScratchFolder folder;
  const std::string data = pattern(1);
  for (const char version : {'\x01', '\x02', '\x03'}) {
    std::string bytes = padded_npy("|u1", data);
    if (version != '\x01') bytes = bytes.substr(0, 6) + version + bytes.substr(7, 3) + std::string(2, '\0') + bytes.substr(10);
    const StoredArray array = open_array(folder.write("a.npy", bytes));
    EXPECT_TRUE(array.is_mapped);
    EXPECT_TRUE(stored_bytes(array, 1) == data) << "version " << static_cast<int>(version);
  }
}

TEST(StoredArray, AgreesWithReadArrayInWhatTheNumbersAre) {
  const ScratchFolder folder;
  const std::string path = folder.write("a.npy", padded_npy("<f4", pattern(4)));
  const auto expected = read_array(path).to_double();
  const StoredArray array = open_array(path);
  const auto* values = static_cast<const float*>(array.values);
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), values));
}

TEST(StoredArray, ReadsWhatDoesNotLieAsInMemory) {
  const ScratchFolder folder;
  const std::string data = pattern(2);
  const auto expect_read = [&](const std::string& path, const std::string& expected) {
    const StoredArray array = open_array(path);
    EXPECT_FALSE(array.is_mapped) << path;
    EXPECT_EQ(array.type, StoredType::float16) << path;
    EXPECT_TRUE(stored_bytes(array, 2) == expected) << path;
  };
  std::string swapped = data;
  for (std::size_t i = 0; i < data.size(); i += 2) std::swap(swapped[i], swapped[i + 1]);
  expect_read(folder.write("big_endian.npy", padded_npy(">f2", swapped)), data);
  std::string transposed = data;
  for (std::size_t i = 0; i < kRows; ++i)
    for (std::size_t k = 0; k < kColumns; ++k)
      std::memcpy(&transposed[2 * (k * kRows + i)], &data[2 * (i * kColumns + k)], 2);
  expect_read(folder.write("fortran.npy", padded_npy("<f2", transposed, true)), data);
  expect_read(folder.write("odd.safetensors", safetensors_file("F16", data, 3)) + ":x", data);
  const std::string header = "{'descr': '<f2', 'fortran_order': False, 'shape': (2048, 512)} ";
  expect_read(folder.write("odd.npy", npy_bytes(header.size() % 2 == 1 ? header : header + ' ', data)), data);
  expect_read(folder.write("small.npy", padded_npy("<f2", data.substr(0, 4 * kColumns), false, 2)), data.substr(0, 4 * kColumns));
}

TEST(StoredArray, ReadsCompressedFilesInTheirOwnType) {
  const ScratchFolder folder;
  std::string idx("\0\0\x08\2", 4);
  idx += std::string("\0\0\x08\0\0\0\2\0", 8);  // (2048, 512)
  const std::string data = pattern(1);
  const StoredArray packed = open_array((folder.write_gzip("a.idx.gz", idx + data), folder.path("a.idx.gz")));
  EXPECT_FALSE(packed.is_mapped);
  EXPECT_EQ(packed.type, StoredType::uint8);
  EXPECT_TRUE(stored_bytes(packed, 1) == data);
  const StoredArray plain = open_array(folder.write("a.idx", idx + data));
  EXPECT_TRUE(plain.is_mapped);
  EXPECT_TRUE(stored_bytes(plain, 1) == data);

  FSLENS_REQUIRE_NUMPY();
  ASSERT_TRUE(run_python(folder, "np.savez_compressed('a.npz', x=np.float16([[0.5, -2, np.inf]]))"));
  const StoredArray half = open_array(folder.path("a.npz:x"));
  EXPECT_EQ(half.type, StoredType::float16);
  EXPECT_EQ(stored_bytes(half, 2), raw<std::uint16_t>({0x3800, 0xc000, 0x7c00}));
}

TEST(StoredArray, EveryOtherTypeBecomesFloat64) {
  const ScratchFolder folder;
  const auto values_of = [](const StoredArray& array) {
    EXPECT_EQ(array.type, StoredType::float64);
    const auto* values = static_cast<const double*>(array.values);
    return std::vector<double>(values, values + array.size());
  };
  const auto npy = [&](const std::string& descr, const std::string& data) {
    return open_array(folder.write("a.npy", npy_bytes("{'descr': '" + descr + "', 'fortran_order': False, 'shape': (2,)}", data)));
  };
  EXPECT_EQ(values_of(npy("<i2", raw<std::int16_t>({-5, 300}))), (std::vector<double>{-5, 300}));
  EXPECT_EQ(values_of(npy("|b1", std::string("\x01\x00", 2))), (std::vector<double>{1, 0}));
  EXPECT_EQ(values_of(open_array(folder.write("a.csv", "1,2.5\n3,4\n"))), (std::vector<double>{1, 2.5, 3, 4}));
  expect_contains(message_of<InvalidArgument>([&] { npy("<i8", raw<std::int64_t>({0, (std::int64_t{1} << 53) + 1})); }),
                  "array[1] = 9007199254740993");
}

TEST(StoredArray, RefusesAHeaderThatLiesAboutItsSize) {
  const ScratchFolder folder;
  const std::string data = pattern(1);
  const auto complaint = [&](const std::string& bytes) {
    const std::string path = folder.write("a.npy", bytes);
    const std::string message = message_of<DataError>([&] { open_array(path); });
    EXPECT_EQ(message, message_of<DataError>([&] { read_array(path); }));
    expect_contains(message, path);
    return message;
  };
  expect_contains(complaint(padded_npy("|u1", data, false, kRows + 1)),
                  "truncated: expected 1049088 bytes of uint8 data of shape (2049, 512), found 1048576 (at byte 128)");
  expect_contains(complaint(padded_npy("|u1", data, false, kRows - 1)), "trailing data: expected 1048064 bytes");
  expect_contains(complaint(padded_npy("<f8", data)), "truncated: expected 8388608 bytes");
  expect_contains(complaint(padded_npy("|u1", data, false, std::size_t{1} << 62)), "too large for any memory");
  expect_contains(complaint(padded_npy("|u1", data.substr(1))), "found 1048575");
}

TEST(StoredArray, RefusesTruncatedFilesBeforeTheyAreMapped) {
  const ScratchFolder folder;
  const std::string npy = padded_npy("<f2", pattern(2));
  const std::string tensors = safetensors_file("F16", pattern(2), 16);
  for (const std::size_t missing : {std::size_t{1}, std::size_t{4096}, std::size_t{1} << 20, npy.size() - 100, npy.size()}) {
    SCOPED_TRACE(missing);
    const std::string path = folder.write("a.npy", npy.substr(0, npy.size() - missing));
    expect_contains(message_of<DataError>([&] { open_array(path); }), "truncated");
    const std::string archive = folder.write("a.safetensors", tensors.substr(0, tensors.size() - missing));
    EXPECT_THROW(open_array(archive + ":x"), DataError);
  }
}

bool maps_name(const std::string& path) { return bytes_of("/proc/self/maps").find(path) != std::string::npos; }

TEST(StoredArray, OutlivesTheNameOfItsFileAndUnmapsWithItsLastOwner) {
  const ScratchFolder folder;
  const std::string data = pattern(1);
  const std::string path = folder.write("a.npy", padded_npy("|u1", data));
  std::shared_ptr<const void> owner;
  {
    const StoredArray array = open_array(path);
    owner = array.owner;
    folder.write("b.npy", padded_npy("|u1", std::string(data.size(), '\1')));
    std::filesystem::rename(folder.path("b.npy"), path);  // as a program does that writes beside and renames
    EXPECT_TRUE(stored_bytes(array, 1) == data);
    std::filesystem::remove(path);
    EXPECT_TRUE(stored_bytes(array, 1) == data);
  }
  EXPECT_TRUE(maps_name(path));
  owner.reset();
  EXPECT_FALSE(maps_name(path));
}

TEST(StoredArray, KeepsArraysThatAreInMemoryAlready) {
  const StoredArray floats = to_stored({{2, 1}, std::vector<float>{1.5F, 2.0F}, ""});
  EXPECT_EQ(floats.type, StoredType::float32);
  EXPECT_EQ(static_cast<const float*>(floats.values)[1], 2.0F);
  EXPECT_EQ(to_stored({{1}, std::vector<std::uint8_t>{7}, ""}).type, StoredType::uint8);
  const StoredArray integers = to_stored({{1}, std::vector<std::int64_t>{-7}, ""});
  EXPECT_EQ(name_of(integers.type), "float64");
  EXPECT_EQ(*static_cast<const double*>(integers.values), -7.0);
}

}  // namespace
}  // namespace fslens
