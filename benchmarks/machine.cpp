#include "machine.hpp"

#include <sys/resource.h>

#include <chrono>
#include <ctime>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "fslens/core/error.hpp"
#include "fslens/kernels/soft_assignment.hpp"
#include "sgemm.hpp"

namespace fslens::benchmarks {
namespace {

std::string processor() {
  std::ifstream lines("/proc/cpuinfo");
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "not set" : value;
}

}  // namespace

std::map<std::string, std::string> machine_description() {
  return {{"processor", processor()},
          {"cores", std::to_string(std::thread::hardware_concurrency())},
          {"OMP_WAIT_POLICY", environment("OMP_WAIT_POLICY")},
          {"OPENBLAS_CORETYPE", environment("OPENBLAS_CORETYPE")},
          {"fslens_instruction_set", kernel_target_name()},
          {"openblas", describe(SgemmLibrary::openblas)},
          {"onednn", describe(SgemmLibrary::onednn)}};
}

std::size_t peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  constexpr std::size_t kKilobyte = 1024;
  return static_cast<std::size_t>(usage.ru_maxrss) * kKilobyte;
}

double processor_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

double seconds_now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

void settle() { std::this_thread::sleep_for(std::chrono::milliseconds(100)); }

void write_results(const std::string& path, nlohmann::ordered_json results) {
  nlohmann::ordered_json file;
  file["machine"] = machine_description();
  file.update(results);
  std::ofstream out(path);
  out << file.dump(1) << '\n';
  if (!out.flush()) throw IoError(path + ": cannot be written");
}

}  // namespace fslens::benchmarks
