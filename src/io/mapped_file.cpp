#include "mapped_file.hpp"

#include <sys/mman.h>
#include <unistd.h>

namespace fslens::io {

std::shared_ptr<const void> map_bytes(const ByteSource& source, std::uint64_t size) {
  if (source.descriptor() < 0) return nullptr;
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const std::uint64_t before = source.offset() % page;  // a mapping begins with a page
  const std::size_t length = static_cast<std::size_t>(before + size);
  void* start = ::mmap(nullptr, length, PROT_READ, MAP_PRIVATE, source.descriptor(), static_cast<off_t>(source.offset() - before));
  if (start == MAP_FAILED) return nullptr;
  const std::shared_ptr<const void> mapping(start, [length](const void* mapped) { ::munmap(const_cast<void*>(mapped), length); });
  return {mapping, static_cast<const std::byte*>(start) + before};
}

}  // namespace fslens::io
