#include "fslens/io/array.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "fslens/io/array_writer.hpp"
#include "io/scratch.hpp"

namespace fslens {
namespace {

using namespace fslens::test;

TEST(ReadArray, NamesAMissingFile) {
  const ScratchFolder folder;
  for (const std::string name : {"no.npy", "no.csv", "no.pt", "dir/no.npy", "C:no.npy"})
    EXPECT_EQ(message_of<DataError>([&] { read_array(folder.path(name)); }), folder.path(name) + ": no such file");
  EXPECT_EQ(message_of<DataError>([&] { read_array(folder.path("no.npz") + ":x"); }),
            folder.path("no.npz") + ": no such file");
  EXPECT_EQ(message_of<DataError>([&] { list_arrays(folder.path("no.npz")); }),
            folder.path("no.npz") + ": no such file");
}

TEST(ReadArray, RefusesPicklesAndPrintsTheConversion) {
  const ScratchFolder folder;
  for (const std::string name : {"atoms.pt", "atoms.pth", "atoms.CKPT"}) {
    const std::string path = folder.write(name, "PK");
    const auto message = message_of<DataError>([&] { read_array(path); });
    expect_contains(message, "python3 -c \"import torch,numpy; numpy.save('" + folder.path("atoms.npy") +
                                 "', torch.load('" + path + "'");
  }
  const std::string path = folder.write("atoms.pkl", "\x80\x04");
  expect_contains(message_of<DataError>([&] { read_array(path); }),
                  "numpy.asarray(pickle.load(open('" + path + "','rb')))");
}

TEST(ReadArray, RefusesWhatItDoesNotKnow) {
  const ScratchFolder folder;
  expect_contains(message_of<DataError>([&] { read_array(folder.write("image.jpg", "\xff\xd8\xff\xe0")); }),
                  "unknown kind of file; expected .npy, .npz:key");
  expect_contains(message_of<DataError>([&] { read_array(folder.write("empty", "")); }), "unknown kind of file");
  const std::string csv = folder.write("a.csv", "1,2\n");
  expect_contains(message_of<DataError>([&] { read_array(csv + ":x"); }), "is a single array and has no key 'x'");
}

TEST(ReadArray, AllowsColonsInFileNames) {
  const ScratchFolder folder;
  write_npy(folder.path("a:b.npy"), {1}, std::vector<double>{4});
  EXPECT_EQ(read_array(folder.path("a:b.npy")).to_double(), std::vector<double>{4});
  NpzWriter writer(folder.path("c:d.npz"));
  writer.add("layer:weight", {1}, std::vector<double>{5});
  writer.add("weight", {1}, std::vector<double>{6});
  writer.close();
  EXPECT_EQ(read_array(folder.path("c:d.npz") + ":layer:weight").to_double(), std::vector<double>{5});
}

TEST(InspectArray, SummarisesFiniteValuesAndCountsTheOthers) {
  const ScratchFolder folder;
  write_npy(folder.path("a.npy"), {2, 3}, std::vector<double>{1, NAN, -4, INFINITY, 2.5, -INFINITY});
  const ArrayInfo info = inspect_array(folder.path("a.npy"));
  EXPECT_EQ(info.name, folder.path("a.npy"));
  EXPECT_EQ(info.shape, (std::vector<std::size_t>{2, 3}));
  EXPECT_EQ(info.stored_type, "float64");
  EXPECT_EQ(info.min, -4);
  EXPECT_EQ(info.max, 2.5);
  EXPECT_EQ(info.num_non_finite, 3U);
  write_npy(folder.path("nan.npy"), {1}, std::vector<float>{NAN});
  EXPECT_FALSE(inspect_array(folder.path("nan.npy")).min.has_value());
  EXPECT_FALSE(inspect_array(folder.path("nan.npy")).max.has_value());
}

TEST(NumericArray, GivesItsDoublesAwayWithoutACopy) {
  NumericArray array{{3}, std::vector<double>{1, 2, 3}, ""};
  const double* memory = std::get<std::vector<double>>(array.values).data();
  const std::vector<double> moved = std::move(array).to_double();
  EXPECT_EQ(moved.data(), memory);
  EXPECT_EQ(moved, (std::vector<double>{1, 2, 3}));
}

TEST(ShapeText, IsAsNumpyWritesIt) {
  EXPECT_EQ(shape_text(std::vector<std::size_t>{}), "()");
  EXPECT_EQ(shape_text(std::vector<std::size_t>{5}), "(5,)");
  EXPECT_EQ(shape_text(std::vector<std::size_t>{3, 4}), "(3, 4)");
}

}  // namespace
}  // namespace fslens
