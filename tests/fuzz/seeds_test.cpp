// Every seed of every fuzz target, and every input that fuzzing kept, without a
// fuzzer.
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fuzz/target.h"

namespace mantissa::fuzz {

void PrintTo(const Target& target, std::ostream* out) { *out << target.name; }

namespace {

namespace fs = std::filesystem;

class FuzzSeeds : public testing::TestWithParam<Target> {};

TEST_P(FuzzSeeds, EndAsTheyShould) {
  std::set<std::string> names;
  for (const Seed& seed : GetParam().seeds()) {
    SCOPED_TRACE(seed.name);
    EXPECT_TRUE(names.insert(seed.name).second) << "two seeds of this name";
    Outcome outcome = Outcome::Accepted;
    EXPECT_NO_THROW(outcome = GetParam().run(seed.bytes));
    EXPECT_EQ(outcome == Outcome::Accepted, seed.outcome == Outcome::Accepted);
  }
  EXPECT_GE(names.size(), 10U);
}

TEST_P(FuzzSeeds, KeptInputsBreakNoPromise) {
  const fs::path folder = fs::path(MANTISSA_FUZZ_SEEDS) / GetParam().name;
  if (!fs::exists(folder)) return;
  for (const auto& entry : fs::directory_iterator(folder)) {
    std::ifstream file(entry.path(), std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    EXPECT_NO_THROW(GetParam().run(text.str())) << entry.path();
  }
}

// Whatever of a seed is cut off, nothing but a refusal comes of it.
TEST_P(FuzzSeeds, CutShortBreakNoPromise) {
  for (const Seed& seed : GetParam().seeds()) {
    const std::size_t step = 1 + seed.bytes.size() / 20;
    for (std::size_t size = 0; size < seed.bytes.size(); size += step) {
      EXPECT_NO_THROW(GetParam().run(seed.bytes.substr(0, size)))
          << seed.name << " " << size;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets,
                         FuzzSeeds,
                         testing::ValuesIn(targets()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace mantissa::fuzz
