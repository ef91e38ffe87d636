#include "torch/ops/quantize_rows.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/Parallel.h>

#include <mantissa/primitives/affine.h>

#include "kernels/common/element_dtype.h"
#include "kernels/common/load_element.h"
#include "kernels/group_minmax.h"
#include "kernels/quantize_affine.h"
#include "primitives/compressed_qparams.h"
#include "torch/tensor/host_tensors.h"

namespace mantissa {
namespace {

constexpr std::int64_t kGrainElements = 1 << 15;

// Calls run(first row, rows) from the threads of ATen's pool.
template <class Run>
void for_each_rows(const at::Tensor& x, const Run& run) {
  const std::int64_t columns = std::max<std::int64_t>(1, x.size(1));
  const std::int64_t grain =
      std::max<std::int64_t>(1, kGrainElements / columns);
  at::parallel_for(
      0, x.size(0), grain, [&](std::int64_t begin, std::int64_t end) {
        run(begin, end - begin);
      });
}

const std::byte* row_of(const at::Tensor& x, std::int64_t row) {
  return static_cast<const std::byte*>(x.const_data_ptr()) +
         row * x.size(1) * static_cast<std::int64_t>(x.element_size());
}

AffineQParams params_of(float min,
                        float max,
                        const RowRule& rule,
                        DType dtype) {
  if (!std::isfinite(min) || !std::isfinite(max)) {
    return {std::numeric_limits<float>::quiet_NaN(), 0.0f};
  }
  if (rule.formula == RowFormula::CompressedTensors) {
    const CompressedQParams found =
        compressed_qparams(min,
                           max,
                           rule.mapping == MappingType::Symmetric,
                           {},
                           dtype,
                           rule.per_tensor);
    return {found.scale == 0 ? compressed_epsilon(dtype) : found.scale,
            found.zero_point};
  }
  return affine_qparams(min, max, rule.mapping, rule.range, rule.eps, dtype);
}

// In a half type, where the quotient and the sum are rounded to it.
template <DType kDType>
void divide_row(const std::byte* x,
                std::int64_t columns,
                float scale,
                float zero,
                std::int8_t* out) {
  constexpr CompressedRange kCodes;
  for (std::int64_t i = 0; i < columns; ++i) {
    const float value =
        kernels::load_element(kernels::to_element(kDType), x, i);
    float code = round_to(kDType, round_to(kDType, value / scale) + zero);
    code = std::isnan(code) ? 0.0f : code;
    code = std::clamp(code, kCodes.min, kCodes.max);
    out[i] = static_cast<std::int8_t>(
        static_cast<std::int32_t>(round_half_even(code)));
  }
}

struct RowRanges {
  std::vector<float> min;
  std::vector<float> max;
};

// Of each row; NaN where it holds one.
RowRanges row_ranges(const at::Tensor& x) {
  const auto rows = static_cast<std::size_t>(x.size(0));
  RowRanges out{std::vector<float>(rows), std::vector<float>(rows)};
  for_each_rows(x, [&](std::int64_t first, std::int64_t count) {
    kernels::group_minmax(dtype_of(x.scalar_type()),
                          {row_of(x, first),
                           count,
                           x.size(1),
                           out.min.data() + first,
                           out.max.data() + first});
  });
  return out;
}

// NaN wins, so that no row hides it.
float lower(float a, float b) { return b < a || std::isnan(b) ? b : a; }
float upper(float a, float b) { return b > a || std::isnan(b) ? b : a; }

// Rows [begin, end) get the range of them all.
void share_range(RowRanges& rows, std::size_t begin, std::size_t end) {
  if (begin == end) return;
  float low = rows.min[begin];
  float high = rows.max[begin];
  for (std::size_t i = begin + 1; i < end; ++i) {
    if (std::isnan(low) || std::isnan(high)) break;
    low = lower(low, rows.min[i]);
    high = upper(high, rows.max[i]);
  }
  std::fill(rows.min.begin() + static_cast<std::ptrdiff_t>(begin),
            rows.min.begin() + static_cast<std::ptrdiff_t>(end),
            low);
  std::fill(rows.max.begin() + static_cast<std::ptrdiff_t>(begin),
            rows.max.begin() + static_cast<std::ptrdiff_t>(end),
            high);
}

void share_ranges(RowRanges& rows, std::span<const std::int64_t> ends) {
  if (ends.empty()) return share_range(rows, 0, rows.min.size());
  std::size_t begin = 0;
  for (const std::int64_t end : ends) {
    share_range(rows, begin, static_cast<std::size_t>(end));
    begin = static_cast<std::size_t>(end);
  }
}

}  // namespace

void RowCodes::resize(std::int64_t rows, std::int64_t columns) {
  const auto count = static_cast<std::size_t>(rows * columns);
  if (count > room) {
    codes = std::make_unique_for_overwrite<std::int8_t[]>(count);
    room = count;
  }
  scale.resize(static_cast<std::size_t>(rows));
  reciprocal.resize(scale.size());
  zero_point.resize(scale.size());
}

RowRule int8_asym_per_token(DType dtype) {
  return {MappingType::Asymmetric, {-128, 127}, smallest_normal(dtype), false};
}

void choose_row_params(const at::Tensor& x,
                       const RowRule& rule,
                       RowCodes& out) {
  const DType dtype = dtype_of(x.scalar_type());
  const std::size_t rows = out.scale.size();
  RowRanges ranges = row_ranges(x);
  if (rule.per_tensor) share_ranges(ranges, rule.ends);
  for (std::size_t i = 0; i < rows; ++i) {
    const AffineQParams params =
        params_of(ranges.min[i], ranges.max[i], rule, dtype);
    out.scale[i] = params.scale;
    out.zero_point[i] = static_cast<std::int32_t>(params.zero_point);
  }
}

void quantize_rows(const at::Tensor& x,
                   IntegerRange range,
                   DType product,
                   RowCodes& out) {
  const DType dtype = dtype_of(x.scalar_type());
  // The scale's dtype is that of the product: x's own, or float32.
  for (std::size_t i = 0; i < out.scale.size(); ++i) {
    out.reciprocal[i] = affine_reciprocal(out.scale[i], product);
  }
  for_each_rows(x, [&](std::int64_t first, std::int64_t count) {
    kernels::quantize_affine(
        dtype,
        product,
        {row_of(x, first),
         count,
         x.size(1),
         out.reciprocal.data() + first,
         out.zero_point.data() + first,
         static_cast<std::int32_t>(range.min),
         static_cast<std::int32_t>(range.max),
         reinterpret_cast<std::uint8_t*>(out.codes.get()) + first * x.size(1)});
  });
}

void mark_nan_rows(const at::Tensor& x, RowCodes& out) {
  const RowRanges ranges = row_ranges(x);
  for (std::size_t i = 0; i < out.scale.size(); ++i) {
    if (std::isnan(ranges.min[i]) || std::isnan(ranges.max[i])) {
      out.scale[i] = std::numeric_limits<float>::quiet_NaN();
    }
  }
}

void divide_rows(const at::Tensor& x, RowCodes& out) {
  const DType dtype = dtype_of(x.scalar_type());
  for_each_rows(x, [&](std::int64_t first, std::int64_t count) {
    if (dtype == DType::Float32) {
      kernels::quantize_quotients(
          dtype,
          {row_of(x, first),
           count,
           x.size(1),
           out.scale.data() + first,
           out.zero_point.data() + first,
           -128,
           127,
           reinterpret_cast<std::uint8_t*>(out.codes.get()) +
               first * x.size(1)});
      return;
    }
    for (std::int64_t row = first; row < first + count; ++row) {
      const auto at = static_cast<std::size_t>(row);
      const auto run = [&]<DType kDType>() {
        divide_row<kDType>(row_of(x, row),
                           x.size(1),
                           out.scale[at],
                           static_cast<float>(out.zero_point[at]),
                           out.codes.get() + row * x.size(1));
      };
      if (dtype == DType::BFloat16) {
        run.template operator()<DType::BFloat16>();
      } else {
        run.template operator()<DType::Float16>();
      }
    }
  });
}

}  // namespace mantissa
