#include "core/huge_page_bytes.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace mantissa {
namespace {

bool aligned(const HugePageBytes& bytes) {
  return reinterpret_cast<std::uintptr_t>(bytes.data()) %
             HugePageBytes::kAlignment ==
         0;
}

bool holds(const HugePageBytes& bytes, int value) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes.data()[i] != static_cast<std::byte>(value)) return false;
  }
  return true;
}

TEST(HugePageBytesTest, BlocksOfAllSizesKeepWhatTheyHold) {
  std::mt19937 random(1);
  std::vector<HugePageBytes> blocks;
  for (int i = 0; i < 200; ++i) {
    const std::size_t size = i % 50 == 7
                                 ? (9u << 20) + random() % 1000
                                 : 1 + random() % (1 << (random() % 21));
    blocks.emplace_back(size);
    ASSERT_EQ(blocks.back().size(), size);
    ASSERT_TRUE(aligned(blocks.back()));
    std::memset(blocks.back().data(), i % 251, size);
  }
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(holds(blocks[static_cast<std::size_t>(i)], i % 251)) << i;
  }
  // What others give back takes nothing from those that stay.
  for (std::size_t i = 0; i < blocks.size(); i += 2) blocks[i] = {};
  for (std::size_t i = 1; i < blocks.size(); i += 2) {
    ASSERT_TRUE(holds(blocks[i], static_cast<int>(i % 251))) << i;
  }
}

TEST(HugePageBytesTest, NothingTakesNothing) {
  EXPECT_EQ(HugePageBytes().data(), nullptr);
  EXPECT_EQ(HugePageBytes(0).data(), nullptr);
  EXPECT_EQ(HugePageBytes(0).size(), 0u);
}

TEST(HugePageBytesTest, TooMuchIsRefused) {
  EXPECT_THROW(HugePageBytes(std::numeric_limits<std::size_t>::max()),
               std::bad_alloc);
  EXPECT_THROW(HugePageBytes(std::numeric_limits<std::size_t>::max() / 2),
               std::bad_alloc);
}

TEST(HugePageBytesTest, PagesGoBackWithTheLastBlock) {
  HugePageBytes large(std::size_t{32} << 20);
  std::byte* const at = large.data();
  unsigned char resident = 0;
  ASSERT_EQ(::mincore(at, 1, &resident), 0);
  large = {};
#if !defined(__SANITIZE_ADDRESS__)
  EXPECT_NE(::mincore(at, 1, &resident), 0);  // not mapped any more
#endif
}

TEST(HugePageBytesTest, ThreadsMayAskAtOnce) {
  std::vector<std::vector<HugePageBytes>> blocks(4);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < blocks.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 100; ++i) {
        blocks[t].emplace_back(5000);
        std::memset(blocks[t].back().data(), static_cast<int>(t + 1), 5000);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t t = 0; t < blocks.size(); ++t) {
    for (const HugePageBytes& block : blocks[t]) {
      ASSERT_TRUE(holds(block, static_cast<int>(t + 1)));
    }
  }
}

}  // namespace
}  // namespace mantissa
