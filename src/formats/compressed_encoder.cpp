#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/primitives/affine.h>
#include <mantissa/primitives/convert.h>

#include "formats/affine_encoder.h"
#include "formats/code_packing.h"
#include "formats/compressed_tensor.h"
#include "kernels/common/element_dtype.h"
#include "kernels/group_minmax.h"
#include "kernels/quantize_affine.h"
#include "kernels/quantize_float8.h"
#include "kernels/search_affine.h"
#include "primitives/compressed_qparams.h"

namespace mantissa {
namespace {

constexpr float kFloat8Max = 448.0f;  // largest e4m3 value

/// Parameters of many groups.
struct GroupParams {
  std::vector<float> scale;
  std::vector<std::int32_t> zero_point;

  GroupParams() = default;
  explicit GroupParams(const CompressedQParams& one) { add(one); }
  void add(const CompressedQParams& q) {
    scale.push_back(q.scale);
    zero_point.push_back(static_cast<std::int32_t>(q.zero_point));
  }
};

CompressedRange range_of(const CompressedEncoding& encoding) {
  if (encoding.spec().floating) return {-kFloat8Max, kFloat8Max};
  const IntegerRange codes = encoding.range();
  return {static_cast<float>(codes.min), static_cast<float>(codes.max)};
}

// calculate_qparams() of compressed-tensors, in the weight's dtype.
class QParamsRule {
 public:
  explicit QParamsRule(const CompressedEncoding& encoding)
      : owner_(encoding.format_name()),
        dtype_(encoding.dtype()),
        stored_(encoding.scale_dtype()),
        symmetric_(encoding.spec().symmetric),
        range_(range_of(encoding)) {}

  CompressedQParams operator()(float min, float max) const {
    const CompressedQParams found =
        compressed_qparams(min, max, symmetric_, range_, dtype_);
    return {stored(found.scale), found.zero_point};
  }

 private:
  float stored(float scale) const {
    const float rounded = round_to(stored_, scale);
    if (!std::isfinite(rounded)) {
      throw Error(ErrorKind::Input,
                  fmt::format("{}: weight: a scale overflows {}; keep it with "
                              "--ignore, or use a symmetric scheme or --dtype "
                              "float32",
                              owner_,
                              name(stored_)));
    }
    return rounded == 0 ? compressed_epsilon(stored_) : rounded;
  }

  std::string_view owner_;
  DType dtype_;
  DType stored_;
  bool symmetric_;
  CompressedRange range_;
};

class CompressedEncoder final : public Encoder {
 public:
  explicit CompressedEncoder(const CompressedEncoding& encoding)
      : to_(encoding), rule_(encoding), at_(encoding.field_indices()) {}

  std::int64_t row_multiple() const override { return to_.row_unit(); }

  bool wants_pass() const override {
    return to_.spec().strategy == CompressedStrategy::Tensor && !observed_;
  }

  void observe(const RowBlock& block, ConstTensorView rows) override {
    const Extremes found = extremes(block, rows);
    for (std::size_t i = 0; i < found.min.size(); ++i) {
      whole_min_ = std::min(whole_min_, found.min[i]);
      whole_max_ = std::max(whole_max_, found.max[i]);
    }
  }

  void end_pass() override { observed_ = true; }

  void encode(const RowBlock& block,
              ConstTensorView rows,
              FieldSink& sink) const override {
    if (at_.shape != 0 && block.row == 0) {
      sink.write(at_.shape,
                 0,
                 weight_shape_field(to_.shape(), to_.spec().shape_dtype)
                     .view()
                     .bytes());
    }
    if (block.row == 0 && to_.spec().strategy == CompressedStrategy::Tensor) {
      write_params(0, GroupParams(rule_(whole_min_, whole_max_)), sink);
    }
    if (block.rows == 0) return;
    const GroupParams params = block_params(block, rows);
    if (to_.spec().strategy != CompressedStrategy::Tensor) {
      write_params(block.row / to_.scale_rows(), params, sink);
    }
    write_codes(block, rows, params, sink);
  }

 private:
  struct Extremes {
    std::vector<float> min;
    std::vector<float> max;
  };

  // Of each run of scale_columns() values, [rows, groups].
  Extremes extremes(const RowBlock& block, ConstTensorView rows) const {
    const auto count = static_cast<std::size_t>(block.rows * to_.groups());
    Extremes out{std::vector<float>(count), std::vector<float>(count)};
    if (rows.numel() == 0) return out;
    kernels::group_minmax(to_.dtype(),
                          {rows.data,
                           static_cast<std::int64_t>(count),
                           to_.scale_columns(),
                           out.min.data(),
                           out.max.data()});
    for (std::size_t i = 0; i < count; ++i) {
      if (std::isfinite(out.min[i]) && std::isfinite(out.max[i])) continue;
      refuse_nonfinite(to_.format_name(), to_.shape(), block, rows);
    }
    return out;
  }

  // Parameters of the rows of scales that a block holds.
  GroupParams block_params(const RowBlock& block, ConstTensorView rows) const {
    if (to_.spec().strategy == CompressedStrategy::Tensor) {
      return GroupParams(rule_(whole_min_, whole_max_));
    }
    Extremes found = extremes(block, rows);
    const auto groups = static_cast<std::size_t>(to_.groups());
    const auto height = static_cast<std::size_t>(to_.scale_rows());
    const auto count = static_cast<std::size_t>(block.rows);
    GroupParams out;
    for (std::size_t row = 0; row < count; row += height) {
      for (std::size_t g = 0; g < groups; ++g) {
        const std::size_t first = row * groups + g;
        for (std::size_t r = row + 1; r < std::min(row + height, count); ++r) {
          const std::size_t i = r * groups + g;
          found.min[first] = std::min(found.min[first], found.min[i]);
          found.max[first] = std::max(found.max[first], found.max[i]);
        }
        out.add(rule_(found.min[first], found.max[first]));
      }
    }
    if (to_.spec().observer == CompressedObserver::Mse) search(rows, out);
    return out;
  }

  // Goes on from the range of each group to the least squared error.
  void search(ConstTensorView rows, GroupParams& params) const {
    const HostTensor values = converted(rows, DType::Float32);
    std::vector<float> zero(params.zero_point.begin(), params.zero_point.end());
    std::vector<float> error(zero.size());
    kernels::search_affine({kernels::to_element(to_.scale_dtype()),
                            to_.spec().symmetric,
                            static_cast<std::int32_t>(to_.range().min),
                            static_cast<std::int32_t>(to_.range().max)},
                           {.x = values.as<float>(),
                            .groups = static_cast<std::int64_t>(zero.size()),
                            .group = to_.scale_columns(),
                            .scale = params.scale.data(),
                            .zero_point = zero.data(),
                            .error = error.data()});
    std::ranges::transform(zero, params.zero_point.begin(), [](float z) {
      return static_cast<std::int32_t>(z);
    });
  }

  // Scales and zero points from row `row` of scales on.
  void write_params(std::int64_t row,
                    const GroupParams& params,
                    FieldSink& sink) const {
    const auto count = static_cast<std::int64_t>(params.scale.size());
    const std::int64_t item = bit_width(to_.scale_dtype()) / 8;
    const HostTensor scale =
        converted({DType::Float32,
                   {count},
                   reinterpret_cast<const std::byte*>(params.scale.data())},
                  to_.scale_dtype());
    sink.write(CompressedFields::kScale,
               row * to_.groups() * item,
               scale.view().bytes());
    if (at_.zero_point == 0) return;
    const std::vector<std::int8_t> zero(params.zero_point.begin(),
                                        params.zero_point.end());
    if (!to_.packed()) {
      sink.write(
          at_.zero_point, row * to_.groups(), std::as_bytes(std::span(zero)));
      return;
    }
    const int bits = to_.spec().num_bits;
    const std::vector<std::uint32_t> words =
        pack_zero_points(zero.data(), count / to_.groups(), to_.groups(), bits);
    sink.write(at_.zero_point,
               row * bits / 32 * to_.groups() * 4,
               std::as_bytes(std::span(words)));
  }

  void write_codes(const RowBlock& block,
                   ConstTensorView rows,
                   const GroupParams& params,
                   FieldSink& sink) const {
    const std::int64_t k = to_.shape()[1];
    const HostTensor codes =
        HostTensor::uninitialized(DType::UInt8, {block.rows, k});
    quantize(rows, params, codes.as<std::uint8_t>());
    if (!to_.packed()) {
      sink.write(CompressedFields::kCodes, block.row * k, codes.view().bytes());
      return;
    }
    const std::int64_t words = to_.row_words();
    const HostTensor out =
        HostTensor::uninitialized(DType::UInt32, {block.rows, words});
    for (std::int64_t row = 0; row < block.rows; ++row) {
      pack_codes({codes.as<std::int8_t>() + row * k},
                 k,
                 to_.spec().num_bits,
                 {out.as<std::uint32_t>() + row * words});
    }
    sink.write(
        CompressedFields::kCodes, block.row * words * 4, out.view().bytes());
  }

  // Codes of rows, whose groups have parameters each or share those of a block
  // of rows.
  void quantize(ConstTensorView rows,
                const GroupParams& params,
                std::uint8_t* out) const {
    const std::int64_t k = to_.shape()[1];
    const std::int64_t count = rows.shape[0];
    if (k == 0) return;
    if (to_.scale_rows() == 1) {
      quantize_groups(rows.data, count * to_.groups(), params, 0, out);
      return;
    }
    const std::int64_t row_bytes = byte_count(to_.dtype(), {k});
    for (std::int64_t row = 0; row < count; ++row) {
      quantize_groups(rows.data + row * row_bytes,
                      to_.groups(),
                      params,
                      row / to_.scale_rows() * to_.groups(),
                      out + row * k);
    }
  }

  // `groups` runs with the parameters from `first` on.
  void quantize_groups(const std::byte* x,
                       std::int64_t groups,
                       const GroupParams& params,
                       std::int64_t first,
                       std::uint8_t* out) const {
    const std::int64_t width = to_.scale_columns();
    if (to_.spec().floating) {
      kernels::quantize_float8(
          {to_.dtype(), DType::Float8E4M3FN},
          {x, params.scale.data() + first, width, groups, out});
      return;
    }
    kernels::quantize_quotients(to_.dtype(),
                                {x,
                                 groups,
                                 width,
                                 params.scale.data() + first,
                                 params.zero_point.data() + first,
                                 static_cast<std::int32_t>(to_.range().min),
                                 static_cast<std::int32_t>(to_.range().max),
                                 out});
  }

  const CompressedEncoding& to_;
  const QParamsRule rule_;
  const CompressedFields at_;
  bool observed_ = false;
  float whole_min_ = 0.0f;
  float whole_max_ = 0.0f;
};

}  // namespace

std::unique_ptr<Encoder> make_compressed_encoder(
    const CompressedEncoding& encoding) {
  return std::make_unique<CompressedEncoder>(encoding);
}

}  // namespace mantissa
