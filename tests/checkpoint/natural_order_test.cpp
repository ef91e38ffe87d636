#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "checkpoint/logical_checkpoint.h"

namespace mantissa {
namespace {

TEST(NaturalOrder, NumbersCountByTheirValue) {
  const std::vector<std::string> ordered = {"",
                                            "a",
                                            "a1",
                                            "a01.b",
                                            "a1.b",
                                            "a2.b",
                                            "a9z",
                                            "a10",
                                            "a10.b",
                                            "a10.c",
                                            "a100.b",
                                            "b"};
  for (std::size_t i = 0; i < ordered.size(); ++i) {
    for (std::size_t j = 0; j < ordered.size(); ++j) {
      EXPECT_EQ(natural_less(ordered[i], ordered[j]), i < j)
          << ordered[i] << " and " << ordered[j];
    }
  }
}

}  // namespace
}  // namespace mantissa
