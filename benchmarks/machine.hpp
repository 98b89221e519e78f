// What a figure was measured on.
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include <nlohmann/json.hpp>

namespace fslens::benchmarks {

/// Processor, threads, the libraries and their kernels: what every result file says about itself.
std::map<std::string, std::string> machine_description();

/// Largest resident memory of this process so far.
std::size_t peak_memory_bytes();

/// Seconds on a steady clock.
double seconds_now();

/// Seconds that all threads of this process have computed: steadier than a clock where others use the cores.
double processor_seconds();

/// Lets the rivals' threads, which spin for a while after their work, go to sleep before something else is timed.
void settle();

/// Writes `results` with the machine's description. @throws IoError
void write_results(const std::string& path, nlohmann::ordered_json results);

}  // namespace fslens::benchmarks
