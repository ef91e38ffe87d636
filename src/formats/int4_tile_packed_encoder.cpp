#include <algorithm>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include <mantissa/primitives/float_casts.h>

#include "formats/affine_encoder.h"
#include "formats/int4_tile_packed_layout.h"
#include "kernels/common/tinygemm_tiles.h"
#include "kernels/quantize_int4.h"
#include "primitives/hqq_solver.h"
#include "primitives/int4_groupwise.h"

namespace mantissa {
namespace {

using kernels::Int4Rule;
using kernels::kTileRows;
using kernels::QuantizeInt4Problem;

constexpr float kMaxCode = 15.0f;
constexpr int kBits = 4;

enum Field : std::size_t { kQdata, kScaleAndZero };

// torchao's raw_output=False: w = (code - 8) * scale + zero.
ScaleAndZero tinygemm_form(const HqqGroup& group) {
  const float scale = 1.0f / group.scale;
  const float zero = (8.0f - group.zero) * scale;
  return {float_to_bfloat16(scale), float_to_bfloat16(zero)};
}

// Packs codes row by row; how a row becomes codes is the algorithm's.
class TilePackedEncoder : public Encoder {
 public:
  TilePackedEncoder(Shape shape,
                    const TilePackedLayout& layout,
                    ScaleAndZero padding)
      : shape_(std::move(shape)), layout_(layout), padding_(padding) {}

  std::int64_t row_multiple() const final { return kTileRows; }
  void encode(const RowBlock& block,
              ConstTensorView rows,
              FieldSink& sink) const final;

 protected:
  const TilePackedLayout& layout() const { return layout_; }
  void check_finite(const RowBlock& block, ConstTensorView rows) const {
    refuse_nonfinite("Int4TilePackedTo4dTensor", shape_, block, rows);
  }
  /// One row of K weights: codes and parameters of its used groups.
  virtual void encode_row(std::int64_t row,
                          const std::uint16_t* weights,
                          std::uint8_t* codes,
                          std::span<ScaleAndZero> parameters) const = 0;

 private:
  Shape shape_;
  TilePackedLayout layout_;
  ScaleAndZero padding_;
};

void TilePackedEncoder::encode(const RowBlock& block,
                               ConstTensorView rows,
                               FieldSink& sink) const {
  check_finite(block, rows);
  const bool last = block.row + block.rows == layout_.rows;
  const std::int64_t height =
      last ? layout_.padded_rows - block.row : block.rows;
  const std::int64_t width = layout_.padded_columns;
  const std::int64_t groups = layout_.groups();
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(kTileRows * width));
  std::vector<std::uint32_t> words(
      static_cast<std::size_t>(layout_.qdata_bytes(height) / 4));
  std::vector<ScaleAndZero> parameters(
      static_cast<std::size_t>(groups * height), padding_);
  std::vector<ScaleAndZero> row(
      static_cast<std::size_t>(layout_.used_groups()));
  for (std::int64_t r = 0; r < height; ++r) {
    std::uint8_t* const row_codes = codes.data() + r % kTileRows * width;
    if (r < block.rows) {
      encode_row(block.matrix * layout_.rows + block.row + r,
                 rows.as<std::uint16_t>() + r * layout_.columns,
                 row_codes,
                 row);
      for (std::size_t g = 0; g < row.size(); ++g) {
        parameters[g * static_cast<std::size_t>(height) +
                   static_cast<std::size_t>(r)] = row[g];
      }
    } else {
      std::fill_n(row_codes, width, std::uint8_t{0});
    }
    if (r % kTileRows == kTileRows - 1) {
      kernels::pack_tinygemm_tile_row(codes.data(),
                                      width,
                                      kTileInnerKTiles,
                                      words.data() + r / kTileRows * width);
    }
  }
  sink.write(
      kQdata,
      layout_.qdata_bytes(block.matrix * layout_.padded_rows + block.row),
      std::as_bytes(std::span(words)));
  constexpr std::int64_t kPair = sizeof(ScaleAndZero);
  sink.write_runs(
      kScaleAndZero,
      (block.matrix * groups * layout_.padded_rows + block.row) * kPair,
      height * kPair,
      layout_.padded_rows * kPair,
      std::as_bytes(std::span(parameters)));
}

class TinygemmEncoder final : public TilePackedEncoder {
 public:
  TinygemmEncoder(const Shape& shape, const TilePackedLayout& layout)
      : TilePackedEncoder(
            shape, layout, tile_padding(Int4ChooseQParamsAlgorithm::Tinygemm)),
        problem_{DType::BFloat16, layout.group_size, Int4Rule::Tinygemm} {}

 private:
  void encode_row(std::int64_t,
                  const std::uint16_t* weights,
                  std::uint8_t* codes,
                  std::span<ScaleAndZero> parameters) const override {
    std::vector<std::uint16_t> padded(
        parameters.size() * static_cast<std::size_t>(layout().group_size));
    std::copy_n(weights, layout().columns, padded.begin());
    std::vector<float> scale(parameters.size());
    std::vector<float> zero(parameters.size());
    kernels::select_quantize_int4(problem_).run(
        problem_,
        {padded.data(),
         static_cast<std::int64_t>(parameters.size()),
         codes,
         scale.data(),
         zero.data()});
    for (std::size_t g = 0; g < parameters.size(); ++g) {
      parameters[g] = {float_to_bfloat16(scale[g]), float_to_bfloat16(zero[g])};
    }
  }

  QuantizeInt4Problem problem_;
};

// Keeps one scale and zero a group. All iterations of a group are made in one
// pass; where the solver would have stopped earlier, a second pass makes that
// many. Errors are summed group by group in order, so they do not depend on the
// blocks.
class HqqEncoder final : public TilePackedEncoder {
 public:
  HqqEncoder(const Shape& shape, const TilePackedLayout& layout)
      : TilePackedEncoder(
            shape, layout, tile_padding(Int4ChooseQParamsAlgorithm::Hqq)),
        groups_(static_cast<std::size_t>(layout.matrices * layout.rows *
                                         layout.used_groups())),
        errors_(HqqSchedule::kIterations) {}

  bool wants_pass() const override { return !groups_.empty() && !done_; }
  void observe(const RowBlock& block, ConstTensorView rows) override;
  void end_pass() override;

 private:
  void encode_row(std::int64_t row,
                  const std::uint16_t* weights,
                  std::uint8_t* codes,
                  std::span<ScaleAndZero> parameters) const override;

  // A row as float32 with zeros up to whole groups.
  std::vector<float> widened(const std::uint16_t* weights) const {
    std::vector<float> wide(
        static_cast<std::size_t>(layout().used_groups() * layout().group_size));
    for (std::int64_t i = 0; i < layout().columns; ++i) {
      wide[static_cast<std::size_t>(i)] = bfloat16_to_float(weights[i]);
    }
    return wide;
  }
  std::size_t first_group(std::int64_t row) const {
    return static_cast<std::size_t>(row * layout().used_groups());
  }
  std::span<const float> group(const std::vector<float>& row,
                               std::size_t g) const {
    const auto size = static_cast<std::size_t>(layout().group_size);
    return {row.data() + g * size, size};
  }

  std::vector<HqqGroup> groups_;
  std::vector<double> errors_;  // of each iteration, over the weight
  std::size_t moved_ = 0;       // iterations that moved any zero
  bool done_ = false;
};

void HqqEncoder::observe(const RowBlock& block, ConstTensorView rows) {
  check_finite(block, rows);
  std::vector<float> work;
  const auto used = static_cast<std::size_t>(layout().used_groups());
  for (std::int64_t r = 0; r < block.rows; ++r) {
    const std::vector<float> row =
        widened(rows.as<std::uint16_t>() + r * layout().columns);
    const std::size_t first =
        first_group(block.matrix * layout().rows + block.row + r);
    for (std::size_t g = 0; g < used; ++g) {
      HqqGroup& state = groups_[first + g];
      const auto [min, max] = std::ranges::minmax(group(row, g));
      state = hqq_start(min, max, kBits);
      moved_ = std::max(moved_,
                        hqq_iterate(group(row, g),
                                    kMaxCode,
                                    HqqSumOrder::Inner,
                                    state,
                                    errors_,
                                    work));
    }
  }
}

void HqqEncoder::end_pass() {
  // torchao pads before it quantizes: the zeros count, with error 0.
  const std::int64_t elements =
      layout().matrices * layout().padded_rows * layout().padded_columns;
  HqqSchedule schedule(static_cast<int>(errors_.size()));
  std::size_t made = 0;
  while (schedule.running()) {
    schedule.finish_iteration(errors_[made++], elements);
  }
  done_ = moved_ <= made;
  errors_.assign(made, 0.0);
  moved_ = 0;
}

void HqqEncoder::encode_row(std::int64_t row,
                            const std::uint16_t* weights,
                            std::uint8_t* codes,
                            std::span<ScaleAndZero> parameters) const {
  const std::vector<float> wide = widened(weights);
  std::vector<float> found(static_cast<std::size_t>(layout().group_size));
  for (std::size_t g = 0; g < parameters.size(); ++g) {
    const HqqGroup& state = groups_[first_group(row) + g];
    hqq_codes(group(wide, g), state, kMaxCode, found.data());
    for (const float code : found) *codes++ = static_cast<std::uint8_t>(code);
    parameters[g] = tinygemm_form(state);
  }
}

}  // namespace

ScaleAndZero tile_padding(Int4ChooseQParamsAlgorithm algorithm) {
  if (algorithm == Int4ChooseQParamsAlgorithm::Hqq) {
    return tinygemm_form(hqq_start(0.0f, 0.0f, kBits));
  }
  constexpr float kMinNormal = 0x1p-126f;  // of bfloat16
  const Int4Group zeros = tinygemm_group(
      0.0f, 0.0f, kMinNormal, TinygemmRange{}, [](float x) { return x; });
  return {float_to_bfloat16(zeros.scale), float_to_bfloat16(zeros.zero)};
}

std::int64_t tile_packed_pass_bytes(const TilePackedLayout& layout,
                                    Int4ChooseQParamsAlgorithm algorithm) {
  if (algorithm != Int4ChooseQParamsAlgorithm::Hqq) return 0;
  return layout.matrices * layout.rows * layout.used_groups() *
         std::int64_t{sizeof(HqqGroup)};
}

std::unique_ptr<Encoder> make_tile_packed_encoder(
    const Shape& shape,
    const TilePackedLayout& layout,
    Int4ChooseQParamsAlgorithm algorithm) {
  if (algorithm == Int4ChooseQParamsAlgorithm::Hqq) {
    return std::make_unique<HqqEncoder>(shape, layout);
  }
  return std::make_unique<TinygemmEncoder>(shape, layout);
}

}  // namespace mantissa
