#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <bit>

#include "fslens/io/array.hpp"
#include "fslens/io/array_writer.hpp"
#include "fslens/io/file.hpp"
#include "io/scratch.hpp"

namespace fslens {
namespace {

using namespace fslens::test;

TEST(NpzWriter, WritesWhatNumpyReads) {
  FSLENS_REQUIRE_NUMPY();
  const ScratchFolder folder;
  NpzWriter writer(folder.path("out.npz"));
  writer.add("x", {2, 3}, std::vector<double>{0.1, -1e300, 3, 5e-324, 5, 6});
  writer.add("single", {2}, std::vector<float>{1.5F, -2});
  writer.add("labels", {1, 2}, std::vector<std::int64_t>{-(std::int64_t{1} << 60), 7});
  writer.add("empty", {0, 4}, std::vector<double>{});
  writer.add_number("log_evidence", -1.25);
  writer.close();
  EXPECT_TRUE(run_python(folder, R"(
import zipfile
assert zipfile.ZipFile('out.npz').testzip() is None
a = np.load('out.npz', allow_pickle=False)
assert sorted(a.files) == ['empty', 'labels', 'log_evidence', 'single', 'x'], a.files
assert a['x'].dtype == np.float64 and a['x'].tolist() == [[0.1, -1e300, 3], [5e-324, 5, 6]]
assert a['single'].dtype == np.float32 and a['single'].tolist() == [1.5, -2]
assert a['labels'].dtype == np.int64 and a['labels'].tolist() == [[-2**60, 7]]
assert a['empty'].shape == (0, 4)
assert a['log_evidence'].shape == () and a['log_evidence'] == -1.25
)"));
}

TEST(WriteNpy, WritesWhatNumpyReads) {
  FSLENS_REQUIRE_NUMPY();
  const ScratchFolder folder;
  write_npy(folder.path("d.npy"), {2, 2}, std::vector<double>{1, 2, 3, 4.5});
  write_npy(folder.path("f.npy"), {3}, std::vector<float>{1, 2, 0.5F});
  write_npy(folder.path("i.npy"), {}, std::vector<std::int64_t>{-3});
  EXPECT_TRUE(run_python(folder, R"(
d = np.load('d.npy', mmap_mode='r')       # the data must start at a multiple of 64 bytes, as numpy's own
assert d.dtype == np.float64 and d.tolist() == [[1, 2], [3, 4.5]] and d.offset % 64 == 0
f = np.load('f.npy'); assert f.dtype == np.float32 and f.tolist() == [1, 2, 0.5]
i = np.load('i.npy'); assert i.dtype == np.int64 and i.shape == () and i == -3
)"));
}

RC_GTEST_PROP(ArrayWriters, GiveBackWhatWasWritten, ()) {
  const auto rows = *rc::gen::inRange<std::size_t>(0, 5);
  const auto columns = *rc::gen::inRange<std::size_t>(0, 5);
  const auto bits =
      *rc::gen::container<std::vector<std::uint64_t>>(rows * columns, rc::gen::arbitrary<std::uint64_t>());
  std::vector<double> values;
  for (const std::uint64_t pattern : bits) values.push_back(std::bit_cast<double>(pattern));  // NaN payloads included
  const ScratchFolder folder;
  write_npy(folder.path("a.npy"), {rows, columns}, values);
  NpzWriter writer(folder.path("a.npz"));
  writer.add("before", {1}, std::vector<double>{0});
  writer.add("a", {rows, columns}, values);
  writer.close();
  for (const std::string& path : {folder.path("a.npy"), folder.path("a.npz") + ":a"}) {
    const NumericArray array = read_array(path);
    RC_ASSERT(array.shape == (std::vector<std::size_t>{rows, columns}));
    RC_ASSERT(raw(std::get<std::vector<double>>(array.values)) == raw(values));
  }
}

TEST(NpzWriter, GivesTheSameBytesForTheSameArrays) {
  const ScratchFolder folder;
  for (const std::string name : {"a.npz", "b.npz"}) {
    NpzWriter writer(folder.path(name));
    writer.add("x", {2}, std::vector<double>{1, 2});
    writer.close();
  }
  EXPECT_EQ(bytes_of(folder.path("a.npz")), bytes_of(folder.path("b.npz")));
}

TEST(NpzWriter, LeavesNothingHalfWritten) {
  const ScratchFolder folder;
  folder.write("out.npz", "the old result");
  {
    NpzWriter writer(folder.path("out.npz"));
    writer.add("x", {1}, std::vector<double>{1});
    EXPECT_EQ(bytes_of(folder.path("out.npz")), "the old result");
  }
  EXPECT_EQ(folder.names(), std::vector<std::string>{"out.npz"});
  EXPECT_EQ(bytes_of(folder.path("out.npz")), "the old result");
}

TEST(NpzWriter, RefusesNamesAndShapesThatDoNotFit) {
  const ScratchFolder folder;
  NpzWriter writer(folder.path("out.npz"));
  const std::vector<double> two = {1, 2};
  writer.add("x", {2}, two);
  expect_contains(message_of<InvalidArgument>([&] { writer.add("x", {2}, two); }),
                  "name = 'x': must not be in the archive already");
  expect_contains(message_of<InvalidArgument>([&] { writer.add("", {2}, two); }), "name = ''");
  expect_contains(message_of<InvalidArgument>([&] { writer.add("y", {3}, two); }),
                  "y = 2 values: must fill the shape (3,)");
  expect_contains(message_of<InvalidArgument>([&] { writer.add("y", {}, two); }), "must fill the shape ()");
  writer.close();
  EXPECT_THROW(writer.close(), InvalidArgument);
  EXPECT_THROW(writer.add("z", {2}, two), InvalidArgument);
}

TEST(Writers, NamePathAndReasonOfAFailure) {
  const ScratchFolder folder;
  const std::string path = folder.path("no/such/folder.npy");
  EXPECT_EQ(message_of<IoError>([&] { write_npy(path, {1}, std::vector<double>{1}); }),
            path + ": cannot be created: No such file or directory");
  EXPECT_EQ(message_of<IoError>([&] { NpzWriter writer(path); }),
            path + ": cannot be created: No such file or directory");
  EXPECT_EQ(message_of<IoError>([&] { write_file_atomically(path, "x"); }),
            path + ": cannot be created: No such file or directory");
  std::filesystem::create_directory(folder.path("taken"));
  EXPECT_EQ(message_of<IoError>([&] { write_file_atomically(folder.path("taken"), "x"); }),
            folder.path("taken") + ": cannot be put in place: Is a directory");
  EXPECT_EQ(folder.names(), std::vector<std::string>{"taken"});
}

TEST(Writers, ReportAFullDiskAndLeaveNothingBehind) {
  const ScratchFolder folder;
  rlimit old_limit{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  rlimit limit = old_limit;
  limit.rlim_cur = 1000;  // bytes a file may have: a write beyond fails as on a full disk
  const auto old_handler = signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  const std::string path = folder.path("big.npy");
  std::string message;
  try {
    write_npy(path, {1000}, std::vector<double>(1000, 1.0));
  } catch (const IoError& error) {
    message = error.what();
  }
  setrlimit(RLIMIT_FSIZE, &old_limit);
  signal(SIGXFSZ, old_handler);
  EXPECT_EQ(message, path + ": cannot be written: File too large");
  EXPECT_TRUE(folder.names().empty());
}

TEST(WriteFileAtomically, ReplacesTheWholeContent) {
  const ScratchFolder folder;
  const std::string path = folder.path("a.json");
  write_file_atomically(path, "a longer first version");
  write_file_atomically(path, "second");
  EXPECT_EQ(read_text_file(path), "second");
  EXPECT_EQ(folder.names(), std::vector<std::string>{"a.json"});
  EXPECT_EQ(message_of<DataError>([&] { read_text_file(folder.path("none")); }),
            folder.path("none") + ": no such file");
}

TEST(Sha256, MatchesThePublishedTestVectors) {  // FIPS 180-2, appendix B
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const std::string million(1000000, 'a');
  const ScratchFolder folder;
  EXPECT_EQ(sha256_file(folder.write("a", million)),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  EXPECT_THROW(sha256_file(folder.path("none")), DataError);
}

}  // namespace
}  // namespace fslens
