#include <fmt/format.h>
#include <fmt/ranges.h>
#include <zip.h>

#include <algorithm>
#include <memory>

#include "array_formats.hpp"
#include "byte_source.hpp"
#include "fslens/core/error.hpp"
#include "npy.hpp"

namespace fslens::io {
namespace {

constexpr std::string_view kSuffix = ".npy";

struct CloseArchive {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
using ArchivePtr = std::unique_ptr<zip_t, CloseArchive>;

struct CloseEntry {
  void operator()(zip_file_t* entry) const { zip_fclose(entry); }
};

ArchivePtr open_archive(const std::string& path) {
  require_readable_file(path);
  int code = 0;
  zip_t* archive = zip_open(path.c_str(), ZIP_RDONLY | ZIP_CHECKCONS, &code);
  if (archive == nullptr) {
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    const std::string reason = zip_error_strerror(&error);
    zip_error_fini(&error);
    throw DataError(path, fmt::format("not a readable .npz (zip) archive: {}", reason));
  }
  return ArchivePtr(archive);
}

std::vector<std::string> keys_of(zip_t* archive) {
  std::vector<std::string> keys;
  const zip_int64_t count = zip_get_num_entries(archive, 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    const char* raw_name = zip_get_name(archive, static_cast<zip_uint64_t>(i), ZIP_FL_ENC_GUESS);
    if (raw_name == nullptr) continue;
    std::string name = raw_name;
    if (name.size() > kSuffix.size() && name.ends_with(kSuffix))
      keys.push_back(name.substr(0, name.size() - kSuffix.size()));
  }
  std::sort(keys.begin(), keys.end());
  return keys;
}

class ZipEntrySource final : public ByteSource {
 public:
  ZipEntrySource(const std::string& path, const std::string& key, ArchivePtr owned)
      : ByteSource(path + ":" + key), archive_(std::move(owned)) {
    zip_t* archive = archive_.get();
    const std::string entry_name = key + std::string(kSuffix);
    zip_stat_t status;
    zip_stat_init(&status);
    if (zip_stat(archive, entry_name.c_str(), ZIP_FL_ENC_GUESS, &status) != 0) fail_with(zip_strerror(archive));
    if ((status.valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 && status.encryption_method != ZIP_EM_NONE)
      fail_with("is encrypted");
    if ((status.valid & ZIP_STAT_COMP_METHOD) == 0 ||
        (status.comp_method != ZIP_CM_STORE && status.comp_method != ZIP_CM_DEFLATE))
      fail_with(fmt::format("compression method {}, expected 0 (stored) or 8 (deflated)", status.comp_method));
    const std::uint64_t file_size = open_file(path)->size_bound();
    const std::uint64_t ratio = status.comp_method == ZIP_CM_STORE ? 1 : kMaxDeflateRatio;
    if ((status.valid & ZIP_STAT_SIZE) == 0 || status.size > file_size * ratio)
      fail_with(
          fmt::format("the archive claims {} bytes, more than a file of {} bytes can hold", status.size, file_size));
    set_exact_size(status.size);
    entry_.reset(zip_fopen_index(archive, status.index, 0));
    if (!entry_) fail_with(zip_strerror(archive));
  }

 protected:
  std::size_t read_some(std::span<std::byte> out) override {
    const zip_int64_t got = zip_fread(entry_.get(), out.data(), out.size());
    if (got < 0) fail(fmt::format("damaged archive entry: {}", zip_file_strerror(entry_.get())));
    return static_cast<std::size_t>(got);
  }

 private:
  [[noreturn]] void fail_with(std::string_view reason) const {
    throw DataError(name(), fmt::format("the archive entry cannot be read: {}", reason));
  }
  ArchivePtr archive_;
  std::unique_ptr<zip_file_t, CloseEntry> entry_;  // gone before its archive
};

}  // namespace

std::string resolve_key(const std::string& path, const std::string& key, const std::vector<std::string>& keys) {
  if (keys.empty()) throw DataError(path, "holds no arrays");
  if (key.empty()) {
    if (keys.size() == 1) return keys.front();
    throw DataError(
        path, fmt::format("holds {} arrays; name one as {}:key; keys: {}", keys.size(), path, fmt::join(keys, ", ")));
  }
  if (std::find(keys.begin(), keys.end(), key) != keys.end()) return key;
  throw DataError(path, unknown_name_message("key", key, keys));
}

std::vector<std::string> list_npz(const std::string& path) { return keys_of(open_archive(path).get()); }

PendingArray open_npz(const std::string& path, const std::string& key) {
  ArchivePtr archive = open_archive(path);
  const std::string found = resolve_key(path, key, keys_of(archive.get()));
  return open_npy(std::make_unique<ZipEntrySource>(path, found, std::move(archive)));
}

}  // namespace fslens::io
