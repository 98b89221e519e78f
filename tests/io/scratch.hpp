// Scratch folders, raw bytes and numpy for the tests of file formats.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "fslens/core/error.hpp"

namespace fslens::test {

/// A folder that is gone with the test.
class ScratchFolder {
 public:
  ScratchFolder() {
    // Memory, where there is some to be had as a folder: thousands of small files that need not reach a disk.
    const bool has_memory_folder = ::access("/dev/shm", W_OK) == 0;
    const std::filesystem::path parent = has_memory_folder ? "/dev/shm" : std::filesystem::temp_directory_path();
    std::string pattern = (parent / "fslens-io-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string str() const { return folder_.string(); }
  std::string write(const std::string& name, std::string_view bytes) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    std::ofstream(path(name), std::ios::binary) << bytes;
    return path(name);
  }
  std::string write_gzip(const std::string& name, std::string_view bytes) const {
    gzFile file = ::gzopen(path(name).c_str(), "wb");
    ::gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
    ::gzclose(file);
    return path(name);
  }
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(folder_))
      found.push_back(entry.path().filename().string());
    return found;
  }

 private:
  std::filesystem::path folder_;
};

inline std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Raw bytes of values, little endian as on this machine.
template <class Value>
std::string raw(const std::vector<Value>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(Value)};
}

/// A .npy with this header text, version 1, not padded.
inline std::string npy_bytes(const std::string& header, const std::string& data = "") {
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 0xff);
  bytes += static_cast<char>(header.size() >> 8);
  return bytes + header + data;
}

/// What `call` throws as an `ErrorType`; other outcomes fail the test.
template <class ErrorType, class Call>
std::string message_of(const Call& call) {
  try {
    call();
  } catch (const ErrorType& error) {
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another kind of error: " << error.what();
    return "";
  }
  ADD_FAILURE() << "no error was thrown";
  return "";
}

inline void expect_contains(const std::string& text, std::string_view part) {
  EXPECT_NE(text.find(part), std::string::npos) << "expected to find: " << part << "\nin: " << text;
}

/// Runs a Python program with numpy in the folder. False if it fails.
inline bool run_python(const ScratchFolder& folder, const std::string& program) {
  folder.write("program.py", "import numpy as np\n" + program);
  const std::string command = "cd '" + folder.str() + "' && /usr/bin/python3 program.py";
  return std::system(command.c_str()) == 0;
}

inline bool numpy_is_available() {
  static const bool available = std::system("/usr/bin/python3 -c 'import numpy' >/dev/null 2>&1") == 0;
  return available;
}

}  // namespace fslens::test

/// Skips the test, and says so, where there is no numpy to compare with.
#define FSLENS_REQUIRE_NUMPY() \
  if (!fslens::test::numpy_is_available()) GTEST_SKIP() << "/usr/bin/python3 cannot import numpy"
