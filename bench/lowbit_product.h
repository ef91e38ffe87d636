#pragma once

// One product of linear_lowbit as a benchmark calls it: weights that rotate
// through more memory than the last-level cache, threads that split the columns
// as the torch half does.
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <mantissa/primitives/affine.h>
#include <mantissa/primitives/float_casts.h>

#include "machine_probes.h"

#include "core/aligned_bytes.h"
#include "core/huge_page_bytes.h"
#include "kernels/group_minmax.h"
#include "kernels/linear_lowbit.h"
#include "kernels/linear_lowbit_bf16.h"
#include "kernels/linear_lowbit_float.h"
#include "kernels/lowbit_activations.h"
#include "kernels/quantize_affine.h"
#include "kernels/quantize_panels.h"

namespace mantissa::kernels {

constexpr std::int64_t kFloats = -1;
constexpr std::int64_t kBf16s = -2;

/// Weights as blocks of GGUF are: two levels of scales, of 256 values and of a
/// group.
struct Blocks {
  const char* name;
  int bits;
  std::int64_t group;
  bool minima;  ///< and codes from 0
};
constexpr std::int64_t kSuperBlock = 256;
constexpr Blocks kBlocks[] = {{"q2_K", 2, 16, true},
                              {"q3_K", 3, 16, false},
                              {"q4_K", 4, 32, true},
                              {"q5_K", 5, 32, true},
                              {"q6_K", 6, 16, false}};

/// Of a product; its name says it all.
struct Case {
  int bits = 4;
  std::int64_t group = 32;  ///< 0: a scale each row
  bool zeros = false;
  std::int64_t m = 1;
  std::int64_t n = 0;
  std::int64_t k = 0;
  std::int64_t x_group = 32;  ///< 0: a scale each row; kFloats, kBf16s
  LowbitCode code = LowbitCode::Integer;  ///< or E4m3
  const Blocks* blocks = nullptr;         ///< they say bits and group

  std::string weights_name() const {
    if (blocks != nullptr) return blocks->name;
    return fmt::format(
        "{} {} g{}",
        code == LowbitCode::Integer ? fmt::format("int{}", bits) : "e4m3",
        zeros ? "asym" : "sym",
        group == 0 ? "row" : std::to_string(group));
  }
  std::string name() const {
    return fmt::format("{}x{} {} x{} M={}",
                       n,
                       k,
                       weights_name(),
                       x_group == 0         ? "row"
                       : x_group == kFloats ? "f32"
                       : x_group == kBf16s  ? "bf16"
                                            : std::to_string(x_group),
                       m);
  }
  bool same_weights(const Case& other) const {
    return bits == other.bits && group == other.group && zeros == other.zeros &&
           n == other.n && k == other.k && code == other.code &&
           blocks == other.blocks;
  }
};

inline Case case_of_blocks(const Blocks& blocks,
                           std::int64_t m,
                           std::int64_t n,
                           std::int64_t k,
                           std::int64_t x_group) {
  Case out;
  out.bits = blocks.bits;
  out.group = blocks.group;
  out.m = m;
  out.n = n;
  out.k = k;
  out.x_group = x_group;
  out.blocks = &blocks;
  return out;
}

enum class Pages { Huge, Small };

/// Weights of one shape, many times, with random bytes.
struct Weights {
  explicit Weights(const Case& c, Pages pages = Pages::Huge) {
    const std::int64_t group = c.group == 0 ? c.k : c.group;
    const std::int64_t tiles = (c.n + 15) / 16;
    const bool levels = c.blocks != nullptr;
    const bool minima = levels && c.blocks->minima;
    codes = tiles * c.k * c.bits * 2;
    const std::int64_t values = tiles * 16 * (c.k / group);
    floats = levels ? tiles * 16 * (c.k / kSuperBlock) : values;
    scales = floats * 2 * (minima ? 2 : 1);
    small = levels ? values * (minima ? 2 : 1) : c.zeros ? values : 0;
    stride = (bytes() + 63) / 64 * 64;
    count = std::max<std::int64_t>(1, kRotation / stride);
    memory = HugePageBytes(static_cast<std::size_t>(count * stride + 8192));
    if (pages == Pages::Small) {
      // Nothing was touched yet; a block of this size begins its own pages.
      ::madvise(memory.data(), memory.size(), MADV_NOHUGEPAGE);
    }
    std::mt19937 random(1);
    auto* words = memory.as<std::uint32_t>();
    for (std::int64_t i = 0; i < count * stride / 4; ++i) words[i] = random();
    for (std::int64_t i = 0; i < count; ++i) {
      auto* s = memory.as<std::uint16_t>(
          static_cast<std::size_t>(i * stride + codes));
      for (std::int64_t j = 0; j < scales / 2; ++j) s[j] = 0x3c00;
    }
    sums.resize(static_cast<std::size_t>(tiles * 16));
    view.sums = sums.data();
    view.bits = c.bits;
    view.n = c.n;
    view.k = c.k;
    view.group = group;
    view.code = c.code;
    if (!levels) return;
    view.scale_type = LowbitScale::F16;
    view.super = kSuperBlock;
    view.from_zero = minima;
  }
  std::int64_t bytes() const { return codes + scales + small; }
  LowbitWeightView at(std::int64_t i) const {
    LowbitWeightView out = view;
    out.codes =
        memory.as<std::uint8_t>(static_cast<std::size_t>(i % count * stride));
    out.scales = out.codes + codes;
    const auto* each =
        reinterpret_cast<const std::int8_t*>(out.codes + codes + scales);
    if (out.super == 0) {
      out.zeros = small == 0 ? nullptr : each;
      return out;
    }
    out.factors = each;
    if (!out.from_zero) return out;
    out.offsets = static_cast<const std::uint8_t*>(out.scales) + floats * 2;
    out.offset_factors = each + small / 2;
    return out;
  }
  std::int64_t floats;  ///< scales alone, in values
  /// In bytes: scales with offsets, zero points or factors of both.
  std::int64_t codes, scales, small;
  std::int64_t stride, count;
  HugePageBytes memory;
  std::vector<float> sums;  ///< any: what they are takes no time
  LowbitWeightView view;
};

/// When the codes of activations with a scale each row are made.
enum class Tokens { Before, InTheCall };

/// Calls of one case, each with the next weight.
class Product {
 public:
  Product(const Case& c, Team& team, Tokens tokens)
      : case_(c),
        team_(team),
        tokens_(tokens),
        x_(static_cast<std::size_t>(c.m * c.k)),
        y_(static_cast<std::size_t>(c.m * c.n)) {
    std::mt19937 random(2);
    std::normal_distribution<float> normal;
    for (float& v : x_) v = normal(random);
    if (c.x_group == kFloats) {
      floats_.resize(c.m, c.k);
    } else if (c.x_group == kBf16s) {
      bf16s_.resize(c.m, c.k);
      for (const float v : x_) narrow_x_.push_back(float_to_bfloat16(v));
    } else {
      codes_.resize(
          c.m, c.k, c.x_group, c.x_group == 0 && tokens == Tokens::InTheCall);
    }
    if (c.x_group == 0 && tokens == Tokens::Before) take_any_tokens();
  }

  void call(const Weights& weights) {
    const LowbitWeightView w = weights.at(turn_++);
    if (case_.x_group == kFloats) return multiply_floats(w);
    if (case_.x_group == kBf16s) return multiply_bf16s(w);
    multiply_codes(w);
  }

 private:
  void take_any_tokens() {
    const std::vector<std::int8_t> codes(x_.size(), 3);
    const std::vector<float> scales(static_cast<std::size_t>(case_.m), 0.1f);
    codes_.take_rows(codes.data(), scales.data(), nullptr, 0, codes_.panels());
  }

  // fill(panels [begin, end)) on every thread; few rows are one thread's.
  template <class Fill>
  void on_panels(std::int64_t panels, const Fill& fill) {
    if (case_.m <= 16) return fill(0, panels);
    const std::int64_t n = team_.size();
    team_.run([&](int t) { fill(panels * t / n, panels * (t + 1) / n); });
  }

  // As the torch half: per token, asymmetric.
  void quantize_tokens() {
    const auto m = static_cast<std::size_t>(case_.m);
    min_.resize(m);
    max_.resize(m);
    scale_.resize(m);
    factor_.resize(m);
    zero_.resize(m);
    row_codes_.resize(x_.size());
    const std::int64_t rows = (case_.m + codes_.panels() - 1) / codes_.panels();
    on_panels(codes_.panels(), [&](std::int64_t begin, std::int64_t end) {
      const std::int64_t first = std::min(case_.m, begin * rows);
      const std::int64_t count = std::min(case_.m, end * rows) - first;
      if (count == 0) return;
      quantize_rows(first, count);
    });
    on_panels(codes_.panels(), [&](std::int64_t begin, std::int64_t end) {
      codes_.take_rows(
          row_codes_.data(), scale_.data(), zero_.data(), begin, end);
    });
  }

  void quantize_rows(std::int64_t first, std::int64_t count) {
    const float* x = x_.data() + first * case_.k;
    group_minmax(DType::Float32,
                 {x, count, case_.k, min_.data() + first, max_.data() + first});
    for (auto i = static_cast<std::size_t>(first);
         i < static_cast<std::size_t>(first + count);
         ++i) {
      const AffineQParams found =
          affine_qparams(min_[i],
                         max_[i],
                         MappingType::Asymmetric,
                         {-128, 127},
                         std::numeric_limits<float>::min(),
                         DType::Float32);
      scale_[i] = found.scale;
      zero_[i] = static_cast<std::int32_t>(found.zero_point);
      factor_[i] = affine_reciprocal(found.scale, DType::Float32);
    }
    quantize_affine(
        DType::Float32,
        DType::Float32,
        {x,
         count,
         case_.k,
         factor_.data() + first,
         zero_.data() + first,
         -128,
         127,
         reinterpret_cast<std::uint8_t*>(row_codes_.data()) + first * case_.k});
  }

  void multiply_codes(const LowbitWeightView& w) {
    const Case& c = case_;
    LinearLowbitArgs args;
    args.w = w;
    if (c.x_group != 0) {
      const auto& quantize = select_quantize_panels({c.m, c.k, c.x_group});
      const QuantizePanelsArgs to = codes_.fill_from(x_.data(), c.k);
      on_panels(codes_.panels(), [&](std::int64_t begin, std::int64_t end) {
        quantize.run(to, begin, end);
      });
    } else if (tokens_ == Tokens::InTheCall) {
      quantize_tokens();
    }
    args.x = codes_.view();
    const auto problem = linear_lowbit_problem(w, c.m, c.x_group);
    on_tiles(args, select_linear_lowbit(problem), problem);
  }

  void multiply_floats(const LowbitWeightView& w) {
    const Case& c = case_;
    LinearLowbitFloatArgs args;
    args.w = w;
    on_panels(floats_.panels(), [&](std::int64_t begin, std::int64_t end) {
      floats_.fill(x_.data(), c.k, begin, end);
    });
    args.x = floats_.view();
    const auto problem = linear_lowbit_float_problem(w, c.m);
    on_tiles(args, select_linear_lowbit_float(problem), problem);
  }

  void multiply_bf16s(const LowbitWeightView& w) {
    const Case& c = case_;
    LinearLowbitBf16Args args;
    args.w = w;
    on_panels(bf16s_.panels(), [&](std::int64_t begin, std::int64_t end) {
      bf16s_.fill(narrow_x_.data(), c.k, begin, end);
    });
    args.x = bf16s_.view();
    const LinearLowbitBf16Problem problem = {
        c.bits, c.m, c.n, c.k, w.group, args.x.panel};
    on_tiles(args, select_linear_lowbit_bf16(problem), problem);
  }

  template <class Args, class Kernel, class Problem>
  void on_tiles(Args args, const Kernel& kernel, const Problem& problem) {
    workspace_.reserve(static_cast<std::size_t>(
        kernel.workspace_bytes(problem, team_.size())));
    const auto part =
        static_cast<std::size_t>(kernel.workspace_bytes(problem, 1));
    args.y = y_.data();
    args.y_stride = case_.n;
    const std::int64_t tiles = (case_.n + 15) / 16;
    const std::int64_t pairs = (tiles + 1) / 2;
    team_.run([&](int t) {
      const std::int64_t begin = pairs * t / team_.size() * 2;
      const std::int64_t end =
          std::min(tiles, pairs * (t + 1) / team_.size() * 2);
      const std::size_t at = static_cast<std::size_t>(t) * part;
      kernel.run(args, {begin, end, workspace_.as<std::byte>(at)});
    });
  }

  Case case_;
  Team& team_;
  Tokens tokens_;
  std::int64_t turn_ = 0;
  std::vector<float> x_;
  std::vector<float> y_;
  AlignedBytes workspace_;  ///< of all threads
  LowbitActivationBuffer codes_;
  LowbitFloatBuffer floats_;
  LowbitBf16Buffer bf16s_;
  std::vector<std::uint16_t> narrow_x_;
  std::vector<float> min_, max_, scale_, factor_;
  std::vector<std::int32_t> zero_;
  std::vector<std::int8_t> row_codes_;
};

}  // namespace mantissa::kernels
