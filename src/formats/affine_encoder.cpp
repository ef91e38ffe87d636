#include "formats/affine_encoder.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/primitives/affine.h>
#include <mantissa/primitives/convert.h>
#include <mantissa/primitives/hqq_scale_only.h>

#include "formats/fields.h"
#include "kernels/group_minmax.h"
#include "kernels/hqq_scale.h"
#include "kernels/quantize_affine.h"
#include "primitives/elements.h"

namespace mantissa {
namespace {

enum Field : std::size_t { kQdata, kScale, kZeroPoint };

constexpr std::int64_t kChunkBytes = 128 * 1024;  // stays in the second cache

std::int64_t row_index(const Shape& shape, const RowBlock& block) {
  return block.matrix * matrix_shape(shape).rows + block.row;
}

// What the codes of one block are made with.
struct BlockParams {
  float scale = 0.0f;
  float reciprocal = 0.0f;
  std::int32_t zero_point = 0;
};

// Some rows of the weight, all of one matrix.
struct RowChunk {
  RowBlock at;
  ConstTensorView rows;
};

class GroupEncoder : public Encoder {
 public:
  explicit GroupEncoder(AffineRule rule) : rule_(std::move(rule)) {}

  void encode(const RowBlock& block,
              ConstTensorView rows,
              FieldSink& sink) const override;

 protected:
  // Parameters of the groups of a chunk, in order.
  virtual std::vector<BlockParams> chunk_params(
      const RowChunk& chunk) const = 0;
  // Codes of a chunk, [rows, K].
  virtual void chunk_codes(const RowChunk& chunk,
                           const std::vector<BlockParams>& params,
                           std::uint8_t* q) const;

  // Calls visit(chunk) for pieces of a block that fit the cache.
  template <class Visit>
  void for_each_chunk(const RowBlock& block,
                      ConstTensorView rows,
                      const Visit& visit) const {
    const std::int64_t row_bytes =
        byte_count(rule_.dtype, {rule_.shape.back()});
    const std::int64_t step = std::max<std::int64_t>(
        1, kChunkBytes / std::max<std::int64_t>(1, row_bytes));
    for (std::int64_t done = 0; done < block.rows; done += step) {
      const std::int64_t n = std::min(step, block.rows - done);
      visit(RowChunk{
          {block.matrix, block.row + done, n},
          {rows.dtype, {n, rule_.shape.back()}, rows.data + done * row_bytes}});
    }
  }

  // Smallest and largest value of each group of a chunk; all finite.
  void extremes(const RowChunk& chunk,
                std::vector<float>& min,
                std::vector<float>& max) const {
    const RowBlocks& blocks = rule_.blocks;
    const auto count =
        static_cast<std::size_t>(chunk.at.rows * blocks.groups());
    min.resize(count);
    max.resize(count);
    kernels::group_minmax(rule_.dtype,
                          {chunk.rows.data,
                           static_cast<std::int64_t>(count),
                           blocks.group(),
                           min.data(),
                           max.data()});
    for (std::size_t i = 0; i < count; ++i) {
      if (std::isfinite(min[i]) && std::isfinite(max[i])) continue;
      refuse_nonfinite(rule_.owner, rule_.shape, chunk.at, chunk.rows);
    }
  }

  // No dtype has a larger range than float32 and bfloat16.
  std::string_view overflow_remedy(float scale) const {
    return std::isfinite(scale) && rule_.scale_dtype == DType::Float16
               ? "use another scale dtype"
               : "keep the tensor with --ignore";
  }

  // Rounds a scale as it is stored and finds what to multiply by.
  BlockParams stored(float scale, float zero_point) const {
    const float rounded = round_to(rule_.scale_dtype, scale);
    if (!std::isfinite(rounded)) {
      throw Error(ErrorKind::Input,
                  fmt::format("{}: weight: a scale of {} overflows {}; {}",
                              rule_.owner,
                              scale,
                              name(rule_.scale_dtype),
                              overflow_remedy(scale)));
    }
    return {rounded,
            affine_reciprocal(rounded, rule_.scale_dtype),
            static_cast<std::int32_t>(zero_point)};
  }

  BlockParams params_of(float min, float max) const {
    const AffineQParams q = affine_qparams(
        min, max, rule_.mapping, rule_.range, rule_.eps, rule_.dtype);
    return stored(q.scale, q.zero_point);
  }

  const AffineRule rule_;

 private:
  void write_params(std::int64_t first_block,
                    const BlockParams* params,
                    std::int64_t count,
                    FieldSink& sink) const;
};

void GroupEncoder::encode(const RowBlock& block,
                          ConstTensorView rows,
                          FieldSink& sink) const {
  if (block.rows == 0) return;
  const RowBlocks& blocks = rule_.blocks;
  const std::int64_t k = rule_.shape.back();
  const auto bytes = static_cast<std::size_t>(block.rows * k);
  const auto q = std::make_unique_for_overwrite<std::uint8_t[]>(bytes);
  std::vector<BlockParams> all;
  all.reserve(static_cast<std::size_t>(block.rows * blocks.groups()));
  for_each_chunk(block, rows, [&](const RowChunk& chunk) {
    const std::vector<BlockParams> params = chunk_params(chunk);
    chunk_codes(chunk, params, q.get() + (chunk.at.row - block.row) * k);
    all.insert(all.end(), params.begin(), params.end());
  });
  sink.write(kQdata,
             row_index(rule_.shape, block) * k,
             std::as_bytes(std::span(q.get(), bytes)));
  if (blocks.within_rows()) {
    write_params(blocks.first_block(block.matrix, block.row),
                 all.data(),
                 block.rows * blocks.groups(),
                 sink);
    return;
  }
  for (std::int64_t r = 0; r < block.rows; ++r) {
    if (!blocks.starts_blocks(block.matrix, block.row + r)) continue;
    write_params(blocks.first_block(block.matrix, block.row + r),
                 all.data() + r * blocks.groups(),
                 blocks.groups(),
                 sink);
  }
}

void GroupEncoder::write_params(std::int64_t first_block,
                                const BlockParams* params,
                                std::int64_t count,
                                FieldSink& sink) const {
  const HostTensor scale(rule_.scale_dtype, {count});
  const HostTensor zero_point(DType::Int8, {count});
  for (std::int64_t i = 0; i < count; ++i) {
    store_element(scale, i, params[i].scale);
    store_element(zero_point, i, params[i].zero_point);
  }
  sink.write(kScale,
             first_block * (bit_width(rule_.scale_dtype) / 8),
             scale.view().bytes());
  sink.write(kZeroPoint, first_block, zero_point.view().bytes());
}

void GroupEncoder::chunk_codes(const RowChunk& chunk,
                               const std::vector<BlockParams>& params,
                               std::uint8_t* q) const {
  std::vector<float> reciprocal;
  std::vector<std::int32_t> zero_point;
  for (const BlockParams& p : params) {
    reciprocal.push_back(p.reciprocal);
    zero_point.push_back(p.zero_point);
  }
  kernels::quantize_affine(rule_.dtype,
                           promote(rule_.dtype, rule_.scale_dtype),
                           {chunk.rows.data,
                            static_cast<std::int64_t>(params.size()),
                            rule_.blocks.group(),
                            reciprocal.data(),
                            zero_point.data(),
                            static_cast<std::int32_t>(rule_.range.min),
                            static_cast<std::int32_t>(rule_.range.max),
                            q});
}

// Blocks lie within rows: one look at the data.
class RowEncoder final : public GroupEncoder {
 public:
  using GroupEncoder::GroupEncoder;

 protected:
  std::vector<BlockParams> chunk_params(const RowChunk& chunk) const override {
    std::vector<float> min;
    std::vector<float> max;
    extremes(chunk, min, max);
    std::vector<BlockParams> params(min.size());
    for (std::size_t i = 0; i < params.size(); ++i) {
      params[i] = params_of(min[i], max[i]);
    }
    return params;
  }
};

// Blocks reach over rows: their extremes are collected in a pass of its own.
class MultiRowEncoder final : public GroupEncoder {
 public:
  explicit MultiRowEncoder(AffineRule rule)
      : GroupEncoder(std::move(rule)),
        min_(static_cast<std::size_t>(rule_.blocks.blocks()), 0.0f),
        max_(min_) {}

  bool wants_pass() const override { return params_.empty() && !min_.empty(); }

  void observe(const RowBlock& block, ConstTensorView rows) override {
    std::vector<float> min;
    std::vector<float> max;
    for_each_chunk(block, rows, [&](const RowChunk& chunk) {
      extremes(chunk, min, max);
      const std::int64_t groups = rule_.blocks.groups();
      for (std::size_t i = 0; i < min.size(); ++i) {
        const auto g = static_cast<std::int64_t>(i);
        const auto b = static_cast<std::size_t>(
            rule_.blocks.first_block(block.matrix, chunk.at.row + g / groups) +
            g % groups);
        min_[b] = std::min(min_[b], min[i]);  // 0 is in every range
        max_[b] = std::max(max_[b], max[i]);
      }
    });
  }

  void end_pass() override {
    for (std::size_t i = 0; i < min_.size(); ++i) {
      params_.push_back(params_of(min_[i], max_[i]));
    }
  }

 protected:
  std::vector<BlockParams> chunk_params(const RowChunk& chunk) const override {
    std::vector<BlockParams> params;
    for (std::int64_t r = 0; r < chunk.at.rows; ++r) {
      const auto first =
          params_.begin() +
          rule_.blocks.first_block(chunk.at.matrix, chunk.at.row + r);
      params.insert(params.end(), first, first + rule_.blocks.groups());
    }
    return params;
  }

 private:
  std::vector<float> min_;
  std::vector<float> max_;
  std::vector<BlockParams> params_;
};

// All iterations of a group are made in one pass, and the largest change of each
// iteration is kept. Where the solver would have stopped early, a second pass
// makes that many iterations.
class HqqEncoder final : public GroupEncoder {
 public:
  explicit HqqEncoder(AffineRule rule)
      : GroupEncoder(std::move(rule)),
        scales_(static_cast<std::size_t>(rule_.blocks.blocks())),
        change_(ScaleOnlyHqqOptions{}.iterations) {}

  bool wants_pass() const override { return !done_; }

  void observe(const RowBlock& block, ConstTensorView rows) override {
    for_each_chunk(block, rows, [&](const RowChunk& chunk) { fit(chunk); });
  }

  void end_pass() override {
    constexpr float kTolerance = ScaleOnlyHqqOptions{}.early_stop_tolerance;
    const auto last = std::ranges::find_if(
        change_, [&](float change) { return change < kTolerance; });
    const auto moves = [](float change) { return change > 0.0f; };
    done_ = last == change_.end() ||
            std::none_of(last + 1, change_.end(), moves);
    if (last != change_.end()) change_.erase(last + 1, change_.end());
    std::ranges::fill(change_, 0.0f);
  }

 protected:
  std::vector<BlockParams> chunk_params(const RowChunk& chunk) const override {
    std::vector<BlockParams> params;
    const float* scale = chunk_scales(chunk);
    const std::int64_t count = chunk.at.rows * rule_.blocks.groups();
    for (std::int64_t i = 0; i < count; ++i) {
      params.push_back(stored(round_to(rule_.dtype, scale[i]), 0.0f));
    }
    return params;
  }

  void chunk_codes(const RowChunk& chunk,
                   const std::vector<BlockParams>& params,
                   std::uint8_t* q) const override {
    if (rule_.scale_dtype != rule_.dtype) {
      GroupEncoder::chunk_codes(chunk, params, q);
      return;
    }
    const HostTensor values = converted(chunk.rows, DType::Float32);
    kernels::hqq_codes(problem(),
                       {values.as<float>(),
                        static_cast<std::int64_t>(params.size()),
                        rule_.blocks.group(),
                        chunk_scales(chunk),
                        reinterpret_cast<std::int8_t*>(q)});
  }

 private:
  kernels::HqqScaleProblem problem() const {
    return {static_cast<float>(rule_.range.min),
            static_cast<float>(rule_.range.max)};
  }

  std::size_t first_group(const RowChunk& chunk) const {
    return static_cast<std::size_t>(
        rule_.blocks.first_block(chunk.at.matrix, chunk.at.row));
  }
  const float* chunk_scales(const RowChunk& chunk) const {
    return scales_.data() + first_group(chunk);
  }

  void fit(const RowChunk& chunk) {
    std::vector<float> min;
    std::vector<float> max;
    extremes(chunk, min, max);
    float* scale = scales_.data() + first_group(chunk);
    for (std::size_t i = 0; i < min.size(); ++i) {
      scale[i] = hqq_initial_scale(std::max(-min[i], max[i]), rule_.range);
    }
    const HostTensor values = converted(chunk.rows, DType::Float32);
    kernels::hqq_scale(problem(),
                       {values.as<float>(),
                        static_cast<std::int64_t>(min.size()),
                        rule_.blocks.group(),
                        scale,
                        change_});
  }

  std::vector<float> scales_;
  std::vector<float> change_;  // of each iteration, over the weight
  bool done_ = false;
};

}  // namespace

std::unique_ptr<Encoder> make_affine_encoder(AffineRule rule) {
  if (rule.blocks.within_rows()) {
    return std::make_unique<RowEncoder>(std::move(rule));
  }
  return std::make_unique<MultiRowEncoder>(std::move(rule));
}

std::unique_ptr<Encoder> make_hqq_scale_only_encoder(AffineRule rule) {
  return std::make_unique<HqqEncoder>(std::move(rule));
}

std::int64_t affine_pass_bytes(const RowBlocks& blocks) {
  if (blocks.within_rows()) return 0;
  constexpr std::int64_t kExtremes = 2 * sizeof(float);
  return blocks.blocks() * (kExtremes + std::int64_t{sizeof(BlockParams)});
}

std::int64_t hqq_scale_only_pass_bytes(const RowBlocks& blocks) {
  return blocks.blocks() * std::int64_t{sizeof(float)};
}

void refuse_nonfinite(std::string_view owner,
                      const Shape& shape,
                      const RowBlock& block,
                      ConstTensorView rows) {
  const auto found = find_nonfinite(rows);
  if (!found) return;
  throw Error(
      ErrorKind::Input,
      fmt::format("{}: {} is NaN or infinite",
                  owner,
                  fields::element_name(
                      "weight",
                      shape,
                      row_index(shape, block) * shape.back() + *found)));
}

}  // namespace mantissa
