#include "fslens/io/file.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <memory>
#include <vector>

#include "atomic_file.hpp"
#include "byte_source.hpp"
#include "fslens/core/error.hpp"

namespace fslens {
namespace {

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    if (!context_ || EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1)
      throw IoError("SHA-256 is not available in this OpenSSL");
  }
  void update(std::span<const std::byte> bytes) {
    if (EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) != 1) throw IoError("SHA-256 failed");
  }
  std::string hex() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int length = 0;
    if (EVP_DigestFinal_ex(context_.get(), digest, &length) != 1) throw IoError("SHA-256 failed");
    std::string text;
    for (unsigned int i = 0; i < length; ++i) text += fmt::format("{:02x}", digest[i]);
    return text;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

}  // namespace

void write_file_atomically(const std::string& path, std::string_view content) {
  io::AtomicFile file(path);
  file.write(content);
  file.commit();
}

std::string read_text_file(const std::string& path) {
  const auto source = io::open_file(path);
  std::string text(static_cast<std::size_t>(source->size_bound()), '\0');
  text.resize(source->read(std::as_writable_bytes(std::span(text.data(), text.size()))));
  return text;
}

std::string sha256_file(const std::string& path) {
  const auto source = io::open_file(path);
  std::vector<std::byte> buffer(std::size_t{1} << 18);
  Sha256 digest;
  while (const std::size_t got = source->read(buffer)) digest.update(std::span(buffer).first(got));
  return digest.hex();
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  Sha256 digest;
  digest.update(bytes);
  return digest.hex();
}

std::string sha256_hex(std::string_view text) { return sha256_hex(std::as_bytes(std::span(text.data(), text.size()))); }

}  // namespace fslens
