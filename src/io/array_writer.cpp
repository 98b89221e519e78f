#include "fslens/io/array_writer.hpp"

#include <fmt/format.h>

#include "atomic_file.hpp"
#include "elements.hpp"
#include "fslens/core/error.hpp"
#include "npy.hpp"
#include "zip_writer.hpp"

namespace fslens {
namespace {

template <class Value>
constexpr std::string_view descr_of() {
  if constexpr (std::is_same_v<Value, double>) return "<f8";
  if constexpr (std::is_same_v<Value, float>) return "<f4";
  return "<i8";
}

void require_shape(std::string_view name, const std::vector<std::size_t>& shape, std::size_t num_values) {
  const auto expected = io::checked_element_count(shape, io::ElementType::float64);
  require(expected && *expected == num_values, name, fmt::format("{} values", num_values),
          fmt::format("must fill the shape {}", shape_text(shape)));
}

template <class Value>
void write_npy_file(const std::string& path, const std::vector<std::size_t>& shape, std::span<const Value> values) {
  require_shape("values", shape, values.size());
  io::AtomicFile file(path);
  file.write(io::npy_preamble(descr_of<Value>(), shape));
  file.write(std::as_bytes(values));
  file.commit();
}

}  // namespace

void write_npy(const std::string& path, const std::vector<std::size_t>& shape, std::span<const double> values) {
  write_npy_file(path, shape, values);
}
void write_npy(const std::string& path, const std::vector<std::size_t>& shape, std::span<const float> values) {
  write_npy_file(path, shape, values);
}
void write_npy(const std::string& path, const std::vector<std::size_t>& shape, std::span<const std::int64_t> values) {
  write_npy_file(path, shape, values);
}

class NpzWriter::Archive {
 public:
  explicit Archive(const std::string& path) : zip_(path) {}

  template <class Value>
  void add(const std::string& name, const std::vector<std::size_t>& shape, std::span<const Value> values) {
    require(!closed_, "NpzWriter::add", name, "must come before close()");
    require(!name.empty() && name.size() < 0xff00 && name.find('\0') == std::string::npos, "name",
            fmt::format("'{}'", name), "must be a non-empty name without NUL characters");
    const std::string entry = name + ".npy";
    require(!zip_.contains(entry), "name", fmt::format("'{}'", name), "must not be in the archive already");
    require_shape(name, shape, values.size());
    const std::string preamble = io::npy_preamble(descr_of<Value>(), shape);
    zip_.add(entry, std::as_bytes(std::span(preamble.data(), preamble.size())), std::as_bytes(values));
  }
  void close() {
    require(!closed_, "NpzWriter::close", zip_.path(), "must be called once");
    zip_.close();
    closed_ = true;
  }

 private:
  io::ZipWriter zip_;
  bool closed_ = false;
};

NpzWriter::NpzWriter(const std::string& path) : archive_(std::make_unique<Archive>(path)) {}
NpzWriter::~NpzWriter() = default;

void NpzWriter::add(const std::string& name, const std::vector<std::size_t>& shape, std::span<const double> values) {
  archive_->add(name, shape, values);
}
void NpzWriter::add(const std::string& name, const std::vector<std::size_t>& shape, std::span<const float> values) {
  archive_->add(name, shape, values);
}
void NpzWriter::add(const std::string& name, const std::vector<std::size_t>& shape,
                    std::span<const std::int64_t> values) {
  archive_->add(name, shape, values);
}
void NpzWriter::add_number(const std::string& name, double value) { archive_->add<double>(name, {}, {&value, 1}); }
void NpzWriter::close() { archive_->close(); }

}  // namespace fslens
