// Every truncation and every flipped bit of a small file: an error that the caller can catch, or an array, never a
// crash.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "fslens/io/array.hpp"
#include "fslens/io/array_writer.hpp"
#include "fslens/io/stored_array.hpp"
#include "io/scratch.hpp"

namespace fslens {
namespace {

using namespace fslens::test;

enum class Outcome { array, error };

/// Anything but an array or a DataError escapes and fails the test. An array that is opened instead says the same.
Outcome outcome_of(const std::string& path) {
  std::string complaint;
  try {
    const NumericArray array = read_array(path);
    std::size_t product = 1;
    for (const std::size_t extent : array.shape) product *= extent;
    EXPECT_EQ(product, array.size());
  } catch (const DataError& error) {
    complaint = error.what();
    EXPECT_GT(complaint.size(), error.path().size());
  }
  try {
    EXPECT_EQ(open_array(path).shape, read_array(path).shape);
    EXPECT_EQ(complaint, "");
  } catch (const DataError& error) {
    EXPECT_EQ(error.what(), complaint);
  } catch (const InvalidArgument&) {  // an integer beyond 2^53: an array that has no exact doubles
    EXPECT_EQ(complaint, "");
  }
  return complaint.empty() ? Outcome::array : Outcome::error;
}

/// One file of each format, all readable without a key.
struct Sample {
  std::string name;
  std::string bytes;
  std::size_t header_bytes;  ///< the bytes before the numbers
};

std::vector<Sample> samples(const ScratchFolder& folder) {
  std::vector<Sample> all;
  write_npy(folder.path("a.npy"), {2, 3}, std::vector<double>{1, 2, 3, 4, 5, 6});
  all.push_back({"a.npy", bytes_of(folder.path("a.npy")), 128});
  NpzWriter writer(folder.path("a.npz"));
  writer.add("x", {2, 2}, std::vector<float>{1, 2, 3, 4});
  writer.close();
  const std::string npz = bytes_of(folder.path("a.npz"));
  all.push_back({"a.npz", npz, npz.size()});
  const std::string header = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  all.push_back(
      {"a.safetensors", raw<std::uint64_t>({header.size()}) + header + raw<float>({1, 2}), 8 + header.size()});
  all.push_back({"a.idx", std::string("\0\0\x08\2\0\0\0\2\0\0\0\2\1\2\3\4", 16), 12});
  folder.write_gzip("a.idx.gz", all.back().bytes);
  const std::string packed = bytes_of(folder.path("a.idx.gz"));
  all.push_back({"a.idx.gz", packed, packed.size()});
  return all;
}

TEST(DamagedFiles, TruncatedAnywhereAreErrors) {
  const ScratchFolder folder;
  for (const Sample& sample : samples(folder)) {
    ASSERT_EQ(outcome_of(folder.write(sample.name, sample.bytes)), Outcome::array) << sample.name;
    for (std::size_t length = 0; length < sample.bytes.size(); ++length)
      EXPECT_EQ(outcome_of(folder.write(sample.name, sample.bytes.substr(0, length))), Outcome::error)
          << sample.name << " cut to " << length << " bytes";
  }
}

TEST(DamagedFiles, AnyFlippedHeaderBitIsAnErrorOrStillAnArray) {
  const ScratchFolder folder;
  for (const Sample& sample : samples(folder)) {
    std::size_t errors = 0;
    for (std::size_t at = 0; at < sample.header_bytes; ++at) {
      for (int bit = 0; bit < 8; ++bit) {
        std::string bytes = sample.bytes;
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
        SCOPED_TRACE(sample.name + " byte " + std::to_string(at) + " bit " + std::to_string(bit));
        errors += outcome_of(folder.write(sample.name, bytes)) == Outcome::error ? 1 : 0;
      }
    }
    EXPECT_GT(errors, sample.header_bytes) << sample.name;  // most of the 8 flips of a byte that means something
  }
}

TEST(DamagedFiles, TrailingBytesAreErrors) {
  const ScratchFolder folder;
  for (const Sample& sample : samples(folder))
    EXPECT_EQ(outcome_of(folder.write(sample.name, sample.bytes + std::string(1, '\0'))), Outcome::error)
        << sample.name;
}

RC_GTEST_PROP(DamagedFiles, AnyHeaderTextIsAnErrorOrAnArray, ()) {
  const std::string alphabet = "{}()[],:'\" \\descrfortan_shapTrueFlL<>|=0123456789";
  const auto text = *rc::gen::container<std::string>(rc::gen::elementOf(alphabet));
  const ScratchFolder folder;
  outcome_of(folder.write("a.npy", npy_bytes(text, std::string(8, '\0'))));
  outcome_of(folder.write("a.safetensors", raw<std::uint64_t>({text.size()}) + text));
  outcome_of(folder.write("a.csv", text));
}

}  // namespace
}  // namespace fslens
