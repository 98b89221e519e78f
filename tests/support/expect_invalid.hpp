// A caller's mistake must be answered by an InvalidArgument that names what was given and the rule.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

#include "fslens/core/error.hpp"

namespace fslens::test {

/// `call` throws InvalidArgument, and its message has every one of `words`.
template <class Call>
void expect_invalid(Call&& call, std::initializer_list<std::string> words) {
  try {
    call();
    ADD_FAILURE() << "nothing was thrown; the message should have had '" << *words.begin() << "'";
  } catch (const InvalidArgument& error) {
    for (const std::string& word : words)
      EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << "'" << word << "' in: " << error.what();
  }
}

template <class Call>
void expect_invalid(Call&& call, const std::string& words) {
  expect_invalid(call, {words});
}

}  // namespace fslens::test
