// The errors that fslens throws, and the validators that throw them.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace fslens {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A caller's mistake: names what was given, its value and the rule that it breaks.
class InvalidArgument : public Error {
 public:
  using Error::Error;
};

/// A name or an option that does not exist or does not fit (exit code 2 on the command line).
class UsageError : public Error {
 public:
  using Error::Error;
};

/// A file whose content cannot be used. `path` and, where known, `byte_offset` say where.
class DataError : public Error {
 public:
  DataError(std::string path, std::string_view problem, std::optional<std::size_t> byte_offset = std::nullopt);
  const std::string& path() const { return path_; }
  std::optional<std::size_t> byte_offset() const { return byte_offset_; }

 private:
  std::string path_;
  std::optional<std::size_t> byte_offset_;
};

/// The machine's fault: a file that cannot be written, memory that cannot be had (exit code 5).
class IoError : public Error {
 public:
  using Error::Error;
};

/// The caller asked for an interruption (Observer::interrupted).
class Interrupted : public Error {
 public:
  Interrupted() : Error("interrupted") {}
};

/// Validators. `name` is the argument as its user knows it, e.g. "noise.sigma". @throws InvalidArgument
void require(bool condition, std::string_view name, std::string_view value, std::string_view rule);
void require_positive(std::string_view name, double value);
void require_nonnegative(std::string_view name, double value);
void require_finite(std::string_view name, std::span<const double> values);
void require_between(std::string_view name, double value, double low, double high);
void require_size(std::string_view name, std::size_t size, std::size_t expected, std::string_view of_what);

/// The entry of `known` with the smallest edit distance to `name`, if it is close enough to be what was meant.
std::optional<std::string> nearest_name(std::string_view name, std::span<const std::string> known);
/// "unknown sampler 'pigmd' (did you mean 'pigdm'?); known: a, b, c"
std::string unknown_name_message(std::string_view what, std::string_view name, std::span<const std::string> known);

}  // namespace fslens
