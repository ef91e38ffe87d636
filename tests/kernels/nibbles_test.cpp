#include "kernels/common/nibbles.h"

#include <cstdint>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace mantissa::kernels {
namespace {

using Bytes = std::vector<std::uint8_t>;

template <NibbleOrder kOrder>
Bytes pack(const Bytes& codes, std::uint8_t flip) {
  Bytes out(codes.size() / 2);
  pack_nibbles<kOrder>(
      codes.data(), static_cast<std::int64_t>(codes.size()), flip, out.data());
  return out;
}

template <NibbleOrder kOrder>
Bytes unpack(const Bytes& bytes, std::uint8_t flip) {
  Bytes out(bytes.size() * 2);
  unpack_nibbles<kOrder>(
      bytes.data(), static_cast<std::int64_t>(out.size()), flip, out.data());
  return out;
}

TEST(NibblesTest, OrderAndSign) {
  const Bytes codes = {0x1, 0x2, 0xf, 0x0};
  EXPECT_EQ(pack<NibbleOrder::LowFirst>(codes, 0), (Bytes{0x21, 0x0f}));
  EXPECT_EQ(pack<NibbleOrder::HighFirst>(codes, 0), (Bytes{0x12, 0xf0}));
  // Int4Tensor: -7 is 9, -6 is a, 7 is 7, -8 is 8.
  EXPECT_EQ(pack<NibbleOrder::LowFirst>(codes, kOffsetBinary),
            (Bytes{0xa9, 0x87}));
}

TEST(NibblesTest, UnpackInvertsPack) {
  const bool holds = rc::check("unpack(pack(codes)) == codes", [] {
    const auto pairs =
        *rc::gen::container<Bytes>(rc::gen::arbitrary<std::uint8_t>());
    Bytes codes;
    for (const std::uint8_t pair : pairs) {
      codes.push_back(pair & 0xf);
      codes.push_back(pair >> 4);
    }
    for (const std::uint8_t flip : {std::uint8_t{0}, kOffsetBinary}) {
      RC_ASSERT(unpack<NibbleOrder::LowFirst>(
                    pack<NibbleOrder::LowFirst>(codes, flip), flip) == codes);
      RC_ASSERT(unpack<NibbleOrder::HighFirst>(
                    pack<NibbleOrder::HighFirst>(codes, flip), flip) == codes);
    }
  });
  EXPECT_TRUE(holds);
}

}  // namespace
}  // namespace mantissa::kernels
