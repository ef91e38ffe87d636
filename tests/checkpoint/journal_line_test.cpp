#include "checkpoint/journal_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/journal_sample.h"
#include "support/temp_dir.h"

namespace mantissa {
namespace {

const support::JournalSample& sample() {
  static const support::JournalSample run;
  return run;
}

// The entries that a journal with these lines leaves.
std::vector<JournalEntry> entries_of(const std::string& lines) {
  const support::TempDir dir;
  const auto contents =
      read_journal(dir.write("journal", sample().head() + lines),
                   sample().head(),
                   sample().plan());
  return contents ? contents->entries : std::vector<JournalEntry>{};
}

std::string with(std::string line, std::string_view from, std::string_view to) {
  return line.replace(line.find(from), from.size(), to);
}

TEST(JournalLine, SaysWhatWasWritten) {
  std::string all;
  for (const std::string& line : sample().lines()) all += line;
  const auto entries = entries_of(all);
  ASSERT_EQ(entries.size(), sample().lines().size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    EXPECT_EQ(journal_line(sample().plan(), entries[i]), sample().lines()[i]);
  }
}

// Each claim costs a hash of its data; a million of one unit cost one.
TEST(JournalLine, TheLastOfAUnitCounts) {
  const std::string line = sample().lines().front();
  const std::string other = with(line, "0123456789abcdef", "00000000000000ff");
  const auto entries = entries_of(line + line + other);
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries[0].result.xxh3.at(0), 0xffU);
}

TEST(JournalLine, AKeyThatStandsTwiceEndsIt) {
  const std::string line = sample().lines().front();
  EXPECT_EQ(entries_of(line).size(), 1U);
  EXPECT_EQ(entries_of("{\"tensor\":\"x\"," + line.substr(1)).size(), 0U);
}

// Found by fuzzing: a number that no integer holds.
TEST(JournalLine, NumbersOutOfRangeEndIt) {
  const std::string line = sample().lines().front();
  ASSERT_EQ(entries_of(line).size(), 1U);
  const std::string_view scales = "\"scales\":[0";
  for (const char* number : {"1e300", "9223372036854775808", "0.5", "\"0\""}) {
    EXPECT_EQ(
        entries_of(with(line, scales, std::string("\"scales\":[") + number))
            .size(),
        0U)
        << number;
  }
  for (const char* bin :
       {"[-1,1]", "[64,1]", "[1e300,1]", "[1,1e300]", "[1]"}) {
    EXPECT_EQ(
        entries_of(with(line, scales, std::string(scales) + "," + bin)).size(),
        0U)
        << bin;
  }
}

TEST(JournalLine, ErrorsOfOtherMatricesEndIt) {
  for (const std::string& line : sample().lines()) {
    const std::string few = "\"errors\":[[3.5,0.25,0.1,4096]";
    if (line.find(few) == line.npos) continue;
    EXPECT_EQ(entries_of(line).size(), 1U);
    EXPECT_EQ(entries_of(with(line, few, few + ",[1.0,1.0,1.0,1]")).size(), 0U);
  }
}

}  // namespace
}  // namespace mantissa
