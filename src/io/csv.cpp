// Tables of numbers as text.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <span>
#include <string>
#include <vector>

#include "array_formats.hpp"
#include "byte_source.hpp"
#include "fslens/core/error.hpp"
#include "trimmed.hpp"

namespace fslens::io {
namespace {

class LineReader {
 public:
  explicit LineReader(ByteSource& source) : source_(source), buffer_(std::size_t{1} << 16) {}

  /// The next line without its end; false after the last.
  bool next(std::string& line) {
    line.clear();
    bool any = false;
    for (;;) {
      if (position_ == filled_) {
        filled_ = source_.read(std::as_writable_bytes(std::span(buffer_)));
        position_ = 0;
        if (filled_ == 0) break;
      }
      any = true;
      const char* first = buffer_.data() + position_;
      const char* last = buffer_.data() + filled_;
      const char* end = std::find(first, last, '\n');
      line.append(first, end);
      position_ = static_cast<std::size_t>(end - buffer_.data()) + (end != last ? 1 : 0);
      if (end != last) break;
    }
    if (!line.empty() && line.back() == '\r') line.pop_back();
    return any;
  }

 private:
  ByteSource& source_;
  std::vector<char> buffer_;
  std::size_t position_ = 0;
  std::size_t filled_ = 0;
};

char detect_separator(std::string_view line) {
  for (const char candidate : {';', '\t', ','})
    if (line.find(candidate) != std::string_view::npos) return candidate;
  return ' ';
}

/// Cells without surrounding blanks and quotes. Spaces separate in runs, every other separator on its own.
void split(std::string_view line, char separator, std::vector<std::string_view>& cells) {
  cells.clear();
  std::size_t position = 0;
  for (;;) {
    if (separator == ' ') {
      position = line.find_first_not_of(' ', position);
      if (position == std::string_view::npos) return;
    }
    bool quoted = false;
    std::size_t end = position;
    while (end < line.size() && (quoted || line[end] != separator)) quoted ^= line[end++] == '"';
    std::string_view cell = trimmed(line.substr(position, end - position));
    if (cell.size() >= 2 && cell.front() == '"' && cell.back() == '"') cell = trimmed(cell.substr(1, cell.size() - 2));
    cells.push_back(cell);
    if (end == line.size()) return;
    position = end + 1;
  }
}

bool parse_number(std::string_view cell, double& value) {
  if (cell.starts_with('+') && !cell.starts_with("+-")) cell.remove_prefix(1);
  if (cell.empty()) return false;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  return error == std::errc{} && end == cell.data() + cell.size();
}

/// Reads row after row; the line and column of every complaint count from 1.
class CsvParser {
 public:
  explicit CsvParser(const std::string& path) : path_(path) {}

  NumericArray parse() {
    const auto source = open_maybe_gzip(path_);
    LineReader lines(*source);
    std::string line;
    for (std::size_t number = 1; lines.next(line); ++number) {
      std::string_view text = line;
      if (number == 1 && text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
      if (trimmed(text).empty()) {
        if (blank_line_ == 0) blank_line_ = number;
      } else if (num_columns_ == 0 && text.starts_with('#')) {
        continue;  // numpy.savetxt writes its header as comments
      } else {
        take_row(text, number);
      }
    }
    if (num_rows_ == 0) throw DataError(path_, "holds no rows of numbers");
    NumericArray array;
    array.shape = {num_rows_, num_columns_};
    array.values = std::move(values_);
    array.stored_type = "text";
    return array;
  }

 private:
  void take_row(std::string_view text, std::size_t line) {
    if (num_columns_ == 0) separator_ = detect_separator(text);
    split(text, separator_, cells_);
    if (num_columns_ == 0) {
      num_columns_ = cells_.size();
      blank_line_ = 0;
      double ignored = 0;
      if (std::none_of(cells_.begin(), cells_.end(), [&](auto cell) { return parse_number(cell, ignored); })) {
        if (num_columns_ > 1 || !cells_[0].empty()) return;  // a header row
      }
    }
    if (blank_line_ != 0) throw DataError(path_, fmt::format("line {}: blank line between rows", blank_line_));
    if (cells_.size() != num_columns_)
      throw DataError(path_, fmt::format("line {}: expected {} columns, found {}", line, num_columns_, cells_.size()));
    for (std::size_t column = 0; column < num_columns_; ++column) {
      double value = 0;
      if (!parse_number(cells_[column], value))
        throw DataError(path_, fmt::format("line {}, column {}: '{}' is not a number", line, column + 1,
                                           std::string(cells_[column].substr(0, 40))));
      values_.push_back(value);
    }
    ++num_rows_;
  }

  const std::string& path_;
  char separator_ = ',';
  std::vector<std::string_view> cells_;
  std::vector<double> values_;
  std::size_t num_rows_ = 0;
  std::size_t num_columns_ = 0;
  std::size_t blank_line_ = 0;
};

}  // namespace

NumericArray read_csv(const std::string& path) { return CsvParser(path).parse(); }

}  // namespace fslens::io
