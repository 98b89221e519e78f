// A strict parser for the one Python dict literal that a .npy header may be.
#include <fmt/format.h>

#include <limits>
#include <optional>

#include "fslens/core/error.hpp"
#include "npy.hpp"

namespace fslens::io {
namespace {

/// Types that exist in numpy and cannot be numbers here, named so that the message can say what the file holds.
std::string_view refused_type_name(char code) {
  switch (code) {
    case 'O':
      return "Python objects";
    case 'S':
    case 'a':
      return "byte strings";
    case 'U':
      return "strings";
    case 'c':
      return "complex numbers";
    case 'M':
      return "dates (datetime64)";
    case 'm':
      return "time spans (timedelta64)";
    case 'V':
      return "raw records (void)";
    default:
      return "";
  }
}

std::optional<ElementType> element_type_of(std::string_view code) {
  struct Entry {
    std::string_view code;
    ElementType type;
  };
  static constexpr Entry kEntries[] = {
      {"f2", ElementType::float16}, {"f4", ElementType::float32}, {"f8", ElementType::float64},
      {"i1", ElementType::int8},    {"i2", ElementType::int16},   {"i4", ElementType::int32},
      {"i8", ElementType::int64},   {"u1", ElementType::uint8},   {"u2", ElementType::uint16},
      {"u4", ElementType::uint32},  {"u8", ElementType::uint64},  {"b1", ElementType::boolean}};
  for (const Entry& entry : kEntries)
    if (entry.code == code) return entry.type;
  return std::nullopt;
}

class HeaderParser {
 public:
  HeaderParser(const ByteSource& source, std::string_view text, std::uint64_t start)
      : source_(source), text_(text), start_(start) {}

  NpyHeader parse() {
    expect('{');
    while (!accept('}')) {
      parse_entry();
      if (!accept(',') && !at('}')) fail("expected ',' or '}'");
    }
    skip_blanks();
    if (position_ != text_.size()) fail("expected nothing but blanks after the dict");
    if (!descr_seen_) fail("the header lacks the key 'descr'");
    if (!order_seen_) fail("the header lacks the key 'fortran_order'");
    if (!shape_seen_) fail("the header lacks the key 'shape'");
    return header_;
  }

 private:
  void parse_entry() {
    skip_blanks();
    const std::size_t key_at = position_;
    const std::string key = parse_string();
    expect(':');
    if (key == "descr") {
      once(descr_seen_, key_at, key);
      parse_descr();
    } else if (key == "fortran_order") {
      once(order_seen_, key_at, key);
      header_.layout.fortran_order = parse_bool();
    } else if (key == "shape") {
      once(shape_seen_, key_at, key);
      parse_shape();
    } else {
      fail_at(key_at, fmt::format("unknown header key '{}', expected descr, fortran_order and shape", printable(key)));
    }
  }

  void parse_descr() {
    skip_blanks();
    const std::size_t value_at = position_;
    if (at('[')) fail("a structured array (records with named fields) is not an array of numbers");
    const std::string descr = parse_string();
    if (descr.size() >= 2) {
      const char order = descr[0];
      const std::string_view code = std::string_view(descr).substr(1);
      const auto type = element_type_of(code);
      const bool order_known =
          order == '<' || order == '>' || order == '=' || (order == '|' && type && byte_width(*type) == 1);
      if (type && order_known) {
        header_.layout.type = *type;
        header_.layout.big_endian = order == '>';
        return;
      }
      if (const std::string_view refused = refused_type_name(code[0]); !refused.empty())
        fail_at(value_at,
                fmt::format("dtype '{}' ({}) is not supported; expected real numbers", printable(descr), refused));
    }
    fail_at(value_at,
            fmt::format("dtype '{}' is not supported; expected f2, f4, f8, i1..i8, u1..u8 or b1 with a byte order",
                        printable(descr)));
  }

  void parse_shape() {
    expect('(');
    while (!accept(')')) {
      header_.shape.push_back(parse_extent());
      if (!accept(',')) {
        // Python needs the comma to tell the tuple (3,) from the number (3).
        if (header_.shape.size() == 1) fail("expected ',' after the only entry of the shape");
        if (!at(')')) fail("expected ',' or ')'");
      }
    }
    if (header_.shape.size() > 32) fail(fmt::format("{} dimensions, at most 32 are accepted", header_.shape.size()));
  }

  std::size_t parse_extent() {
    skip_blanks();
    const std::size_t first = position_;
    std::size_t value = 0;
    while (position_ < text_.size() && text_[position_] >= '0' && text_[position_] <= '9') {
      const std::size_t digit = static_cast<std::size_t>(text_[position_] - '0');
      if (value > (static_cast<std::size_t>(std::numeric_limits<std::int64_t>::max()) - digit) / 10)
        fail_at(first, "a shape entry exceeds 2^63 - 1");
      value = 10 * value + digit;
      ++position_;
    }
    if (position_ == first) fail("expected a non-negative integer in the shape");
    if (position_ < text_.size() && text_[position_] == 'L') ++position_;  // as Python 2 wrote long integers
    return value;
  }

  bool parse_bool() {
    skip_blanks();
    for (const auto& [word, value] : {std::pair<std::string_view, bool>{"True", true}, {"False", false}}) {
      if (text_.substr(position_, word.size()) == word) {
        position_ += word.size();
        return value;
      }
    }
    fail("expected True or False");
  }

  std::string parse_string() {
    skip_blanks();
    if (!at('\'') && !at('"')) fail("expected a quoted string");
    const char quote = text_[position_];
    const std::size_t close = text_.find(quote, position_ + 1);
    if (close == std::string_view::npos) fail("a string that does not end");
    const std::string value(text_.substr(position_ + 1, close - position_ - 1));
    position_ = close + 1;
    return value;
  }

  void once(bool& seen, std::size_t at_position, const std::string& key) {
    if (seen) fail_at(at_position, fmt::format("the header key '{}' appears twice", key));
    seen = true;
  }
  void skip_blanks() {
    while (position_ < text_.size() &&
           (text_[position_] == ' ' || text_[position_] == '\n' || text_[position_] == '\t'))
      ++position_;
  }
  bool at(char expected) {
    skip_blanks();
    return position_ < text_.size() && text_[position_] == expected;
  }
  bool accept(char expected) {
    if (!at(expected)) return false;
    ++position_;
    return true;
  }
  void expect(char expected) {
    if (!accept(expected)) fail(fmt::format("expected '{}'", expected));
  }
  static std::string printable(std::string_view text) {
    std::string shown(text.substr(0, 40));
    for (char& c : shown)
      if (c < ' ' || c > '~') c = '?';
    return shown;
  }
  [[noreturn]] void fail(std::string_view problem) const { fail_at(position_, problem); }
  [[noreturn]] void fail_at(std::size_t position, std::string_view problem) const {
    source_.fail_at(start_ + position, fmt::format(".npy header: {}", problem));
  }

  const ByteSource& source_;
  std::string_view text_;
  std::uint64_t start_;
  std::size_t position_ = 0;
  bool descr_seen_ = false;
  bool order_seen_ = false;
  bool shape_seen_ = false;
  NpyHeader header_;
};

}  // namespace

NpyHeader parse_npy_header(const ByteSource& source, std::string_view text, std::uint64_t start) {
  return HeaderParser(source, text, start).parse();
}

}  // namespace fslens::io
