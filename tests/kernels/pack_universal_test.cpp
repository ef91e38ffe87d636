#include "kernels/pack_universal.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/pack_bits.h"
#include "kernels/pack_cases.h"

namespace mantissa::kernels {
namespace {

constexpr int kAlignments[] = {0, 1, 16, 33};

struct Shape2 {
  std::int64_t strips;
  std::int64_t k;
  std::int64_t group;
};

// Whole and broken vectors of 16, 32 and 64 columns, groups that end inside
// each, and rows longer than the stage of 256 columns.
constexpr Shape2 kShapes[] = {{0, 64, 32},
                              {1, 16, 16},
                              {2, 48, 48},
                              {1, 64, 64},
                              {3, 96, 32},
                              {1, 112, 112},
                              {2, 144, 16},
                              {1, 320, 320},
                              {2, 576, 64},
                              {1, 640, 32},
                              {1, 768, 256},
                              {1, 480, 160}};

struct Strips {
  PackUniversalProblem problem;
  Shape2 shape;
  bool zeros;
  bool biased;
  std::vector<std::uint8_t> codes;
  std::vector<float> scale;
  std::vector<std::int8_t> zero_point;
  std::vector<float> bias;
  std::vector<std::int8_t> lut;

  Strips(PackUniversalProblem p, Shape2 s, bool with_zeros, bool with_bias)
      : problem(p), shape(s), zeros(with_zeros), biased(with_bias) {
    const std::int64_t rows = kStripRows * s.strips;
    const auto groups = static_cast<std::size_t>(rows * s.k / s.group);
    const auto range = p.lut ? CodeRange::Index : CodeRange::Signed;
    codes = random_codes(p.bits, range, rows * s.k, 11);
    std::mt19937 random(4);
    for (std::size_t i = 0; i < groups; ++i) {
      scale.push_back(std::bit_cast<float>(
          static_cast<std::uint32_t>(random())));  // any bits, NaN too
      zero_point.push_back(static_cast<std::int8_t>(random()));
    }
    for (std::int64_t i = 0; i < rows; ++i) {
      bias.push_back(static_cast<float>(i) - 3.5F);
    }
    for (int i = 0; i < 16; ++i) {
      lut.push_back(static_cast<std::int8_t>(p.lut ? random() : 0));
    }
  }

  std::size_t packed_bytes() const {
    const std::int64_t groups = shape.k / shape.group;
    const std::int64_t strip = (problem.lut ? 16 : 0) + shape.k * problem.bits +
                               groups * (zeros ? 96 : 64) + (biased ? 32 : 0);
    return static_cast<std::size_t>(shape.strips * strip);
  }

  bool pack(const PackUniversalKernel& kernel,
            std::uint8_t* packed,
            const std::int8_t* from,
            Stores stores) const {
    return kernel.run(problem,
                      {from,
                       scale.data(),
                       zeros ? zero_point.data() : nullptr,
                       biased ? bias.data() : nullptr,
                       problem.lut ? lut.data() : nullptr,
                       shape.strips,
                       shape.k,
                       shape.group,
                       packed,
                       stores});
  }
};

// What came out of unpacking.
struct Unpacked {
  Guarded codes;
  std::vector<float> scale;
  std::vector<std::int8_t> zero_point;
  std::vector<float> bias;
  bool sound = false;

  Unpacked(const UnpackUniversalKernel& kernel,
           const Strips& in,
           const std::uint8_t* packed,
           std::size_t shift,
           Stores stores)
      : codes(in.codes.size(), shift),
        scale(in.scale.size()),
        zero_point(in.zeros ? in.zero_point.size() : 0),
        bias(in.biased ? in.bias.size() : 0) {
    sound = kernel.run(in.problem,
                       {packed,
                        in.shape.strips,
                        in.shape.k,
                        in.shape.group,
                        codes.as<std::int8_t>(),
                        scale.data(),
                        in.zeros ? zero_point.data() : nullptr,
                        in.biased ? bias.data() : nullptr,
                        stores});
  }

  void expect(const Strips& in, const char* name) const {
    EXPECT_TRUE(sound) << name;
    EXPECT_TRUE(codes.holds(in.codes)) << name;
    EXPECT_EQ(std::memcmp(scale.data(), in.scale.data(), 4 * in.scale.size()),
              0)
        << name;
    if (in.zeros) {
      EXPECT_EQ(zero_point, in.zero_point) << name;
    }
    if (in.biased) {
      EXPECT_EQ(bias, in.bias) << name;
    }
  }
};

template <class F>
void for_each_case(const F& f) {
  for (const bool lut : {false, true}) {
    for (int bits = 1; bits <= (lut ? 4 : 8); ++bits) {
      for (const Shape2& shape : kShapes) {
        for (int fields = 0; fields < 4; ++fields) {
          SCOPED_TRACE("bits " + std::to_string(bits) + (lut ? " lut" : "") +
                       " strips " + std::to_string(shape.strips) + " k " +
                       std::to_string(shape.k) + " group " +
                       std::to_string(shape.group) + " fields " +
                       std::to_string(fields));
          f(Strips({bits, lut}, shape, fields % 2 == 1, fields >= 2));
        }
      }
    }
  }
}

TEST(PackUniversalTest, EveryRowEqualsTheReference) {
  for_each_case([](const Strips& in) {
    const auto& reference = pack_universal_kernels().back();
    std::vector<std::uint8_t> want(in.packed_bytes() + 1);
    ASSERT_TRUE(in.pack(reference,
                        want.data(),
                        reinterpret_cast<const std::int8_t*>(in.codes.data()),
                        Stores::Cached));
    want.resize(in.packed_bytes());
    for (const std::size_t shift : kAlignments) {
      const Guarded codes(in.codes, shift);
      const Guarded packed(want, shift);
      for (const Stores stores : {Stores::Cached, Stores::Streaming}) {
        for (const auto& kernel :
             usable(pack_universal_kernels(), in.problem)) {
          Guarded out(want.size(), shift);
          ASSERT_TRUE(in.pack(
              kernel, out.as<std::uint8_t>(), codes.as<std::int8_t>(), stores));
          EXPECT_TRUE(out.holds(want)) << kernel.name << " shift " << shift;
        }
        for (const auto& kernel :
             usable(unpack_universal_kernels(), in.problem)) {
          const Unpacked out(
              kernel, in, packed.as<std::uint8_t>(), shift, stores);
          out.expect(in, kernel.name);
        }
      }
    }
  });
}

// The layout, said another way: blocks of pack_bits, then what a group has.
TEST(PackUniversalTest, ReferenceIsBlocksOf128AndTheirGroups) {
  const Strips in({5, false}, {1, 64, 32}, true, true);
  std::vector<std::uint8_t> packed(in.packed_bytes());
  const auto* codes = reinterpret_cast<const std::int8_t*>(in.codes.data());
  in.pack(pack_universal_kernels().back(), packed.data(), codes, {});
  std::vector<std::uint8_t> want;
  for (int k = 0; k < 64; k += 16) {
    std::int8_t block[128];
    for (int h = 0; h < 2; ++h) {
      for (int c = 0; c < 8; ++c) {
        std::memcpy(block + 64 * h + 8 * c, codes + 64 * c + k + 8 * h, 8);
      }
    }
    std::uint8_t bytes[80];
    run_pack_bits_ref({5, 128}, {block, 1, bytes});
    want.insert(want.end(), bytes, bytes + 80);
    if (k % 32 == 0) continue;
    const int g = k / 32;
    const auto put = [&](auto value) {
      const auto* at = reinterpret_cast<const std::uint8_t*>(&value);
      want.insert(want.end(), at, at + 4);
    };
    for (int c = 0; c < 8; ++c) {
      put(in.scale[static_cast<std::size_t>(2 * c + g)]);
    }
    for (int c = 0; c < 8; ++c) {
      std::int32_t sum = 0;
      for (int i = 0; i < 32; ++i) sum += codes[64 * c + 32 * g + i];
      put(sum);
    }
    for (int c = 0; c < 8; ++c) {
      put(std::int32_t{in.zero_point[static_cast<std::size_t>(2 * c + g)]});
    }
  }
  const auto* bias = reinterpret_cast<const std::uint8_t*>(in.bias.data());
  want.insert(want.end(), bias, bias + 32);
  EXPECT_EQ(packed, want);
}

TEST(PackUniversalTest, CodesOutOfRangeAreRefused) {
  for (const bool lut : {false, true}) {
    for (int bits = 1; bits <= (lut ? 4 : 7); ++bits) {
      Strips in({bits, lut}, {2, 112, 112}, false, false);
      std::vector<std::uint8_t> packed(in.packed_bytes());
      for (std::size_t at = 0; at < in.codes.size(); at += 13) {
        const std::uint8_t good = in.codes[at];
        for (const int bad : {lut ? 1 << bits : 1 << (bits - 1),
                              lut ? -1 : -(1 << (bits - 1)) - 1,
                              127,
                              -128}) {
          if (!lut && bits == 8) continue;
          in.codes[at] = static_cast<std::uint8_t>(bad);
          const auto* codes =
              reinterpret_cast<const std::int8_t*>(in.codes.data());
          for (const auto& kernel :
               usable(pack_universal_kernels(), in.problem)) {
            ASSERT_FALSE(in.pack(kernel, packed.data(), codes, {}))
                << kernel.name << " code " << bad << " at " << at;
          }
        }
        in.codes[at] = good;
      }
    }
  }
}

TEST(PackUniversalTest, WrongSumsAndWideZeroPointsAreSeen) {
  for_each_case([](const Strips& in) {
    if (in.codes.empty()) return;
    std::vector<std::uint8_t> packed(in.packed_bytes());
    in.pack(pack_universal_kernels().back(),
            packed.data(),
            reinterpret_cast<const std::int8_t*>(in.codes.data()),
            {});
    // Sums of the last group of the first strip.
    const std::size_t strip =
        packed.size() / static_cast<std::size_t>(in.shape.strips);
    const std::size_t end = strip - (in.biased ? 32 : 0) - (in.zeros ? 32 : 0);
    for (const auto& kernel : usable(unpack_universal_kernels(), in.problem)) {
      const auto broken = [&](std::size_t at) {
        packed[at] ^= 0x10;
        const Unpacked out(kernel, in, packed.data(), 0, {});
        packed[at] ^= 0x10;
        return !out.sound;
      };
      EXPECT_FALSE(broken(end - 33)) << kernel.name;  // a scale
      for (std::size_t at = end - 32; at < end; at += 5) {
        EXPECT_TRUE(broken(at)) << kernel.name << " byte " << at;
      }
      if (in.zeros) {
        for (std::size_t at = end; at < end + 32; ++at) {
          EXPECT_EQ(broken(at), at % 4 != end % 4) << kernel.name;
        }
      }
    }
  });
}

}  // namespace
}  // namespace mantissa::kernels
