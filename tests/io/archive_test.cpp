#include <gtest/gtest.h>
#include <zip.h>

#include <cmath>

#include "fslens/io/array.hpp"
#include "io/scratch.hpp"

namespace fslens {
namespace {

using namespace fslens::test;

/// Writes an archive entry by entry with libzip.
void write_zip(const std::string& path, const std::vector<std::pair<std::string, std::string>>& entries, int method) {
  zip_t* archive = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, nullptr);
  for (const auto& [name, bytes] : entries) {
    zip_source_t* source = zip_source_buffer(archive, bytes.data(), bytes.size(), 0);
    const auto index = zip_file_add(archive, name.c_str(), source, ZIP_FL_ENC_UTF_8);
    zip_set_file_compression(archive, static_cast<zip_uint64_t>(index), method, 0);
  }
  ASSERT_EQ(zip_close(archive), 0);
}

const std::string kOnes = npy_bytes("{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}", raw<double>({1, 1}));
const std::string kTwos = npy_bytes("{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}", raw<double>({2, 2}));

TEST(NpzReader, ReadsWhatNumpySavesStoredAndDeflated) {
  FSLENS_REQUIRE_NUMPY();
  const ScratchFolder folder;
  ASSERT_TRUE(run_python(folder, R"(
x = np.linspace(0, 1, 6).reshape(2, 3)
np.savez('stored.npz', x=x, t=np.float64(0.25), n=np.arange(4, dtype='i4'))
np.savez_compressed('deflated.npz', x=x, t=np.float64(0.25), n=np.arange(4, dtype='i4'))
)"));
  for (const std::string name : {"stored.npz", "deflated.npz"}) {
    const std::string path = folder.path(name);
    EXPECT_EQ(list_arrays(path), (std::vector<std::string>{"n", "t", "x"}));
    EXPECT_EQ(read_array(path + ":x").shape, (std::vector<std::size_t>{2, 3}));
    EXPECT_EQ(read_array(path + ":x").to_double()[5], 1.0);
    EXPECT_TRUE(read_array(path + ":t").shape.empty());
    EXPECT_EQ(read_array(path + ":n").to_double(), (std::vector<double>{0, 1, 2, 3}));
  }
}

TEST(NpzReader, NeedsNoKeyWhereThereIsOneArrayOnly) {
  const ScratchFolder folder;
  write_zip(folder.path("one.npz"), {{"only.npy", kOnes}}, ZIP_CM_STORE);
  EXPECT_EQ(read_array(folder.path("one.npz")).to_double(), (std::vector<double>{1, 1}));
  write_zip(folder.path("two.npz"), {{"a.npy", kOnes}, {"b.npy", kTwos}, {"readme.txt", "hello"}}, ZIP_CM_DEFLATE);
  expect_contains(message_of<DataError>([&] { read_array(folder.path("two.npz")); }), "holds 2 arrays");
  expect_contains(message_of<DataError>([&] { read_array(folder.path("two.npz")); }), "keys: a, b");
  EXPECT_EQ(read_array(folder.path("two.npz") + ":b").to_double(), (std::vector<double>{2, 2}));
}

TEST(NpzReader, NamesTheKeysWhereOneIsMissing) {
  const ScratchFolder folder;
  write_zip(folder.path("two.npz"), {{"atoms.npy", kOnes}, {"labels.npy", kTwos}}, ZIP_CM_STORE);
  const auto message = message_of<DataError>([&] { read_array(folder.path("two.npz") + ":atom"); });
  expect_contains(message, "two.npz: unknown key 'atom' (did you mean 'atoms'?); known: atoms, labels");
  write_zip(folder.path("none.npz"), {{"readme.txt", "hello"}}, ZIP_CM_STORE);
  expect_contains(message_of<DataError>([&] { read_array(folder.path("none.npz")); }), "holds no arrays");
}

TEST(NpzReader, RefusesDamagedForeignAndLyingArchives) {
  const ScratchFolder folder;
  expect_contains(message_of<DataError>([&] { read_array(folder.write("text.npz", "not a zip archive")); }),
                  "not a readable .npz");
  write_zip(folder.path("bz.npz"), {{"a.npy", std::string(4000, 'x')}}, ZIP_CM_BZIP2);
  expect_contains(message_of<DataError>([&] { read_array(folder.path("bz.npz")); }),
                  "compression method 12, expected 0 (stored) or 8 (deflated)");
  write_zip(folder.path("inner.npz"), {{"a.npy", kOnes + "tail"}}, ZIP_CM_DEFLATE);
  expect_contains(message_of<DataError>([&] { read_array(folder.path("inner.npz")); }),
                  "trailing data: expected 16 bytes");
  // A flipped data byte of a stored entry must not pass for a number.
  write_zip(folder.path("crc.npz"), {{"a.npy", kOnes}}, ZIP_CM_STORE);
  std::string bytes = bytes_of(folder.path("crc.npz"));
  bytes[30 + 5 + kOnes.size() - 1] ^= 0x01;
  expect_contains(message_of<DataError>([&] { read_array(folder.write("crc2.npz", bytes)); }), "damaged archive entry");
}

TEST(NpzReader, DoesNotBelieveAnImpossibleSize) {
  const ScratchFolder folder;
  write_zip(folder.path("a.npz"), {{"a.npy", std::string(100000, '\0')}}, ZIP_CM_DEFLATE);
  std::string bytes = bytes_of(folder.path("a.npz"));
  const std::size_t central = bytes.find(std::string("PK\x01\x02", 4));
  ASSERT_NE(central, std::string::npos);
  for (const std::size_t at : {std::size_t{22}, central + 24})  // uncompressed size: local and central
    for (std::size_t i = 0; i < 4; ++i) bytes[at + i] = "\xf0\xff\xff\x7f"[i];
  const auto message = message_of<DataError>([&] { read_array(folder.write("b.npz", bytes)); });
  expect_contains(message, "claims 2147483632 bytes, more than a file of");
}

TEST(ArrayDirectory, IsAnArchiveOfItsNpyFiles) {
  const ScratchFolder folder;
  folder.write("run/t.npy", kOnes);
  folder.write("run/x.npy", kTwos);
  folder.write("run/notes.txt", "hello");
  EXPECT_EQ(list_arrays(folder.path("run")), (std::vector<std::string>{"t", "x"}));
  EXPECT_EQ(read_array(folder.path("run") + ":x").to_double(), (std::vector<double>{2, 2}));
  expect_contains(message_of<DataError>([&] { read_array(folder.path("run") + ":y"); }), "unknown key 'y'");
  expect_contains(message_of<DataError>([&] { read_array(folder.path("run")); }), "keys: t, x");
}

std::string safetensors(const std::string& header, const std::string& data) {
  return raw<std::uint64_t>({header.size()}) + header + data;
}

TEST(SafetensorsReader, ReadsEveryTypeByKey) {
  const ScratchFolder folder;
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"f32":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
      R"("f64":{"dtype":"F64","shape":[1,1],"data_offsets":[8,16]},"f16":{"dtype":"F16","shape":[2],"data_offsets":[16,20]},)"
      R"("bf16":{"dtype":"BF16","shape":[2],"data_offsets":[20,24]},"u8":{"dtype":"U8","shape":[4],"data_offsets":[24,28]},)"
      R"("i32":{"dtype":"I32","shape":[],"data_offsets":[28,32]},"i64":{"dtype":"I64","shape":[1],"data_offsets":[32,40]}}   )";
  const std::string path = folder.write(
      "w.safetensors",
      safetensors(header, raw<float>({1.5F, -3}) + raw<double>({0.1}) + raw<std::uint16_t>({0x3c00, 0xc000}) +
                              raw<std::uint16_t>({0x3fc0, 0xff80}) + "\x01\x02\x03\xff" + raw<std::int32_t>({-7}) +
                              raw<std::int64_t>({-(std::int64_t{1} << 40)})));
  EXPECT_EQ(list_arrays(path), (std::vector<std::string>{"bf16", "f16", "f32", "f64", "i32", "i64", "u8"}));
  EXPECT_EQ(read_array(path + ":f32").to_double(), (std::vector<double>{1.5, -3}));
  EXPECT_EQ(read_array(path + ":f64").to_double(), std::vector<double>{0.1});
  EXPECT_EQ(read_array(path + ":f16").to_double(), (std::vector<double>{1, -2}));
  EXPECT_EQ(read_array(path + ":bf16").to_double(), (std::vector<double>{1.5, -INFINITY}));
  EXPECT_EQ(read_array(path + ":u8").to_double(), (std::vector<double>{1, 2, 3, 255}));
  EXPECT_TRUE(read_array(path + ":i32").shape.empty());
  EXPECT_EQ(read_array(path + ":i32").to_double(), std::vector<double>{-7});
  EXPECT_EQ(read_array(path + ":i64").to_double(), std::vector<double>{-0x1p40});
  expect_contains(message_of<DataError>([&] { read_array(path + ":f31"); }), "unknown key 'f31' (did you mean 'f32'?)");
}

TEST(SafetensorsReader, RefusesHeadersThatDoNotAddUp) {
  const ScratchFolder folder;
  const auto complaint = [&](const std::string& bytes) {
    const std::string path = folder.write("w.safetensors", bytes);
    return message_of<DataError>([&] { read_array(path); });
  };
  const std::string data = raw<float>({1, 2});
  const auto tensor = [](const std::string& fields) { return "{\"a\":{" + fields + "}}"; };
  expect_contains(complaint("\x01"), "truncated: expected 8 bytes of the header length");
  expect_contains(complaint(raw<std::uint64_t>({std::uint64_t{1} << 60}) + "{}"),
                  "header of 1152921504606846976 bytes claimed, 2 bytes follow");
  expect_contains(complaint(safetensors("[1]", "")), "does not begin with '{'");
  expect_contains(complaint(safetensors("{\"a\":", "")), "invalid JSON");
  expect_contains(complaint(safetensors("{}", "")), "holds no arrays");
  expect_contains(complaint(safetensors(tensor(R"("dtype":"F32","shape":[2])"), data)),
                  "lacks dtype, shape or two data_offsets");
  expect_contains(complaint(safetensors(tensor(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])"), data)),
                  "shape (3,) and dtype F32 does not fill its 8 bytes");
  expect_contains(complaint(safetensors(tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,9])"), data)),
                  "claims bytes 0 to 9 of 8");
  expect_contains(complaint(safetensors(tensor(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])"), data)),
                  "claims bytes 8 to 0");
  expect_contains(complaint(safetensors(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])"), data)),
                  "trailing data: the tensors hold 4 bytes, the file 8");
  expect_contains(complaint(safetensors(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])"), data)),
                  "hole or overlap");
  expect_contains(complaint(safetensors(tensor(R"("dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8])"), data)),
                  "dtype 'F8_E4M3', which is not supported");
  expect_contains(
      complaint(safetensors(tensor(R"("dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8])"), data)),
      "does not fill");
  expect_contains(complaint(safetensors(tensor(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])"), data)),
                  "unexpected negative number");
  expect_contains(complaint(safetensors(tensor(R"("dtype":"F32","shape":[2.0],"data_offsets":[0,8])"), data)),
                  "unexpected fractional number");
  expect_contains(complaint(safetensors(tensor(R"("dtype":"F32","shape":[[2]],"data_offsets":[0,8])"), data)),
                  "unexpected array");
  expect_contains(complaint(safetensors(tensor(R"("dtype":{"x":1})"), data)), "unexpected object");
  expect_contains(complaint(safetensors(tensor(R"("colour":"red")"), data)), "unknown field 'colour'");
  expect_contains(complaint(safetensors(R"({"a":"b"})", data)), "unexpected string");
  expect_contains(complaint(safetensors(R"({"a":{},"a":{}})", data)), "appears twice");
  expect_contains(complaint(safetensors("{" + std::string(100000, '{'), "")), "invalid JSON");
  expect_contains(complaint(safetensors("{\"a\":" + std::string(100000, '['), "")), "unexpected array");
}

}  // namespace
}  // namespace fslens
