#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <mantissa/primitives/float8.h>

#include "formats/affine_encoder.h"
#include "formats/float8_tensor.h"
#include "kernels/absmax_runs.h"
#include "kernels/quantize_float8.h"

namespace mantissa {
namespace {

enum Field : std::size_t { kQdata, kScale };

// Blocks of up to this many rows get their scales while they are encoded, in
// whole blocks; higher ones need a pass of their own over the tensor.
constexpr std::int64_t kMaxLocalRows = 128;

void fold(float& best, float magnitude) { best = std::max(best, magnitude); }

// What both encoders do with a block of rows.
class Float8EncoderBase : public Encoder {
 public:
  Float8EncoderBase(const Float8Parameters& parameters, DType dtype)
      : grid_(parameters.grid),
        dtype_(dtype),
        problem_{dtype, parameters.spec.float8_dtype},
        options_{.float8_dtype = parameters.spec.float8_dtype,
                 .hp_value_lb = parameters.spec.hp_value_lb,
                 .hp_value_ub = parameters.spec.hp_value_ub} {}

 protected:
  std::int64_t first_row(const RowBlock& block) const {
    return block.matrix * matrix_shape(grid_.shape).rows + block.row;
  }

  // The largest magnitude of every run, [rows, runs]. Throws Error(Input) that
  // names the first NaN or infinity.
  std::vector<float> magnitudes(const RowBlock& block,
                                ConstTensorView rows) const {
    const std::int64_t runs = block.rows * grid_.runs;
    std::vector<float> out(static_cast<std::size_t>(runs));
    kernels::absmax_runs(dtype_, {rows.data, grid_.run, runs, out.data()});
    for (const float magnitude : out) {
      if (!std::isfinite(magnitude)) {
        refuse_nonfinite("Float8Tensor", grid_.shape, block, rows);
      }
    }
    return out;
  }

  float scale_of(float magnitude) const {
    return float8_scale(magnitude, dtype_, options_);
  }

  // Codes of `count` rows; scale_row(i) points at the scales of row i.
  template <class ScaleRow>
  void write_codes(const RowBlock& block,
                   ConstTensorView rows,
                   const ScaleRow& scale_row,
                   FieldSink& sink) const {
    const auto& kernel = kernels::select("quantize_float8",
                                         kernels::quantize_float8_kernels(),
                                         problem_,
                                         kernels::host_caps());
    const std::int64_t row_bytes = byte_count(dtype_, Shape{grid_.columns});
    std::vector<std::uint8_t> codes(
        static_cast<std::size_t>(block.rows * grid_.columns));
    for (std::int64_t i = 0; i < block.rows; ++i) {
      kernel.run(problem_,
                 {rows.data + i * row_bytes,
                  scale_row(i),
                  grid_.run,
                  grid_.runs,
                  codes.data() + i * grid_.columns});
    }
    sink.write(kQdata,
               first_row(block) * grid_.columns,
               std::as_bytes(std::span(codes)));
  }

  // Scales of whole rows of the grid, from its row `grid_row` on.
  void write_scales(std::int64_t grid_row,
                    std::span<const float> scales,
                    FieldSink& sink) const {
    const auto offset = static_cast<std::size_t>(grid_row * grid_.runs);
    sink.write(kScale,
               static_cast<std::int64_t>(offset * sizeof(float)),
               std::as_bytes(scales));
  }

  const RowGrid grid_;
  const DType dtype_;

 private:
  const kernels::QuantizeFloat8Problem problem_;
  const Float8ScaleOptions options_;
};

// Blocks of few rows of one matrix.
class LocalFloat8Encoder final : public Float8EncoderBase {
 public:
  LocalFloat8Encoder(const Float8Parameters& parameters,
                     DType dtype,
                     std::int64_t block_rows)
      : Float8EncoderBase(parameters, dtype), block_rows_(block_rows) {}

  std::int64_t row_multiple() const override { return block_rows_; }

  void encode(const RowBlock& block,
              ConstTensorView rows,
              FieldSink& sink) const override {
    if (block.rows == 0) return;
    const std::vector<float> magnitude = magnitudes(block, rows);
    std::vector<float> scales(magnitude.size() /
                              static_cast<std::size_t>(block_rows_));
    for (std::int64_t i = 0; i < block.rows; ++i) {
      for (std::int64_t r = 0; r < grid_.runs; ++r) {
        fold(scales[index(i / block_rows_, r)], magnitude[index(i, r)]);
      }
    }
    for (float& scale : scales) scale = scale_of(scale);
    write_codes(
        block,
        rows,
        [&](std::int64_t i) {
          return scales.data() + index(i / block_rows_, 0);
        },
        sink);
    write_scales(grid_.grid_row(first_row(block)), scales, sink);
  }

 private:
  std::size_t index(std::int64_t row, std::int64_t run) const {
    return static_cast<std::size_t>(row * grid_.runs + run);
  }

  std::int64_t block_rows_;
};

// Any blocks: a pass over the tensor keeps one magnitude for each.
class TwoPassFloat8Encoder final : public Float8EncoderBase {
 public:
  TwoPassFloat8Encoder(const Float8Parameters& parameters, DType dtype)
      : Float8EncoderBase(parameters, dtype),
        scales_(static_cast<std::size_t>(numel(grid_.grid))) {}

  bool wants_pass() const override { return !observed_; }

  void observe(const RowBlock& block, ConstTensorView rows) override {
    const std::vector<float> magnitude = magnitudes(block, rows);
    auto next = magnitude.begin();
    for (std::int64_t i = 0; i < block.rows; ++i) {
      float* best = scale_row(first_row(block) + i);
      for (std::int64_t r = 0; r < grid_.runs; ++r) fold(best[r], *next++);
    }
  }

  void end_pass() override {
    for (float& scale : scales_) scale = scale_of(scale);
    observed_ = true;
  }

  void encode(const RowBlock& block,
              ConstTensorView rows,
              FieldSink& sink) const override {
    const std::int64_t first = first_row(block);
    write_codes(
        block,
        rows,
        [&](std::int64_t i) { return scale_row(first + i); },
        sink);
    for (std::int64_t row = first; row < first + block.rows; ++row) {
      if (!grid_.starts_block(row)) continue;
      write_scales(grid_.grid_row(row),
                   {scale_row(row), static_cast<std::size_t>(grid_.runs)},
                   sink);
    }
  }

 private:
  const float* scale_row(std::int64_t row) const {
    return scales_.data() + grid_.grid_row(row) * grid_.runs;
  }
  float* scale_row(std::int64_t row) {
    return scales_.data() + grid_.grid_row(row) * grid_.runs;
  }

  std::vector<float> scales_;  // magnitudes until the pass ends
  bool observed_ = false;
};

// Whether the rows of a block are in memory at once.
bool is_local(const Float8Parameters& parameters) {
  const MatrixShape block = matrix_shape(parameters.grid.block);
  return block.matrices == 1 && block.rows <= kMaxLocalRows;
}

}  // namespace

std::unique_ptr<Encoder> make_float8_encoder(const Float8Parameters& parameters,
                                             DType dtype) {
  if (!is_local(parameters)) {
    return std::make_unique<TwoPassFloat8Encoder>(parameters, dtype);
  }
  return std::make_unique<LocalFloat8Encoder>(
      parameters, dtype, matrix_shape(parameters.grid.block).rows);
}

std::int64_t float8_pass_bytes(const Float8Parameters& parameters) {
  if (is_local(parameters)) return 0;
  return numel(parameters.grid.grid) * std::int64_t{sizeof(float)};
}

}  // namespace mantissa
