#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include <mantissa/primitives/nf4.h>

#include "formats/affine_encoder.h"
#include "formats/nf4_tensor.h"
#include "kernels/absmax_runs.h"
#include "kernels/common/load_element.h"
#include "primitives/torch_sum.h"

namespace mantissa {
namespace {

enum Field : std::size_t { kData, kScalers, kFactor, kMean, kTable };

// Values of the weight's dtype as the bytes of a field.
HostTensor as_field(DType dtype, const std::vector<float>& values) {
  HostTensor out(dtype, {static_cast<std::int64_t>(values.size())});
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (dtype == DType::Float32) {
      out.as<float>()[i] = values[i];
    } else {
      out.as<std::uint16_t>()[i] = dtype == DType::BFloat16
                                       ? float_to_bfloat16(values[i])
                                       : float_to_float16(values[i]);
    }
  }
  return out;
}

// One pass finds the scalers (absmax) of all blocks; the mean and the factors
// are computed from them, then every block of rows is encoded by itself.
class NF4Encoder final : public Encoder {
 public:
  NF4Encoder(const Shape& shape, DType dtype, const NF4Spec& spec)
      : full_shape_(shape),
        shape_(matrix_shape(shape)),
        dtype_(dtype),
        spec_(spec),
        table_(nf4_table(dtype)),
        scalers_(static_cast<std::size_t>(numel(shape) / spec.block_size)) {
    if (dtype == DType::Float32) return;
    // A 16-bit type has few values: one look-up replaces 16 distances.
    codes_.resize(0x10000);
    for (std::size_t i = 0; i < codes_.size(); ++i) {
      const auto bits = static_cast<std::uint16_t>(i);
      codes_[i] = nf4_code(dtype == DType::BFloat16 ? bfloat16_to_float(bits)
                                                    : float16_to_float(bits),
                           table_,
                           dtype);
    }
  }

  // Rows that hold whole scaler blocks and whole bytes.
  std::int64_t row_multiple() const override {
    const std::int64_t unit =
        std::lcm(spec_.block_size * spec_.scaler_block_size, std::int64_t{2});
    return unit / std::gcd(unit, shape_.columns);
  }

  bool wants_pass() const override { return !observed_; }

  void observe(const RowBlock& block, ConstTensorView rows) override {
    const std::int64_t count = block.rows * shape_.columns / spec_.block_size;
    float* scalers = scalers_.data() + first(block);
    kernels::absmax_runs(dtype_, {rows.data, spec_.block_size, count, scalers});
    if (!std::all_of(scalers, scalers + count, [](float s) {
          return std::isfinite(s);
        })) {
      refuse_nonfinite("NF4Tensor", full_shape_, block, rows);
    }
  }

  void end_pass() override {
    const auto count = static_cast<float>(scalers_.size());
    mean_ = round_to(dtype_, torch_sum(scalers_) / count);
    const auto size = static_cast<std::size_t>(spec_.scaler_block_size);
    for (std::size_t i = 0; i < scalers_.size(); i += size) {
      float absmax = 0.0f;
      for (std::size_t j = i; j < i + size; ++j) {
        absmax = std::max(absmax, std::fabs(centered(j)));
      }
      factors_.push_back(nf4_scaler_factor(absmax, dtype_));
    }
    observed_ = true;
  }

  void encode(const RowBlock& block,
              ConstTensorView rows,
              FieldSink& sink) const override {
    const std::int64_t values = block.rows * shape_.columns;
    const std::int64_t blocks = values / spec_.block_size;
    std::vector<std::uint8_t> codes(static_cast<std::size_t>(values));
    std::vector<std::int8_t> scaler_codes;
    for (std::int64_t b = 0; b < blocks; ++b) {
      const auto at = static_cast<std::size_t>(first(block) + b);
      encode_block(rows.data, b * spec_.block_size, scalers_[at], codes.data());
      const std::size_t group =
          at / static_cast<std::size_t>(spec_.scaler_block_size);
      scaler_codes.push_back(
          nf4_scaler_code(centered(at), factors_[group], dtype_));
    }
    for (std::size_t i = 0; i < codes.size() / 2; ++i) {
      codes[i] =
          static_cast<std::uint8_t>(codes[2 * i] << 4 | codes[2 * i + 1]);
    }
    codes.resize(codes.size() / 2);
    sink.write(kData,
               first(block) * spec_.block_size / 2,
               std::as_bytes(std::span(codes)));
    sink.write(kScalers, first(block), std::as_bytes(std::span(scaler_codes)));
    write_factors(first(block), blocks, sink);
    if (block.row == 0) write_shared(sink);
  }

 private:
  // Number of the first block in these rows.
  std::int64_t first(const RowBlock& block) const {
    return (block.matrix * shape_.rows + block.row) * shape_.columns /
           spec_.block_size;
  }

  float centered(std::size_t block) const {
    return round_to(dtype_, scalers_[block] - mean_);
  }

  // Codes of the block whose first element is `begin`; a block of zeros, which
  // has no scale, gets the code of 0.
  void encode_block(const std::byte* x,
                    std::int64_t begin,
                    float scaler,
                    std::uint8_t* codes) const {
    const kernels::Element element = kernels::to_element(dtype_);
    for (std::int64_t i = begin; i < begin + spec_.block_size; ++i) {
      const float scaled = kernels::load_element(element, x, i) / scaler;
      codes[i] = scaler == 0.0f ? kNF4Zero : code(scaled);
    }
  }

  std::uint8_t code(float scaled) const {
    if (dtype_ == DType::BFloat16) return codes_[float_to_bfloat16(scaled)];
    if (dtype_ == DType::Float16) return codes_[float_to_float16(scaled)];
    return nf4_code(scaled, table_, dtype_);
  }

  // `values` as elements of a field, from element `first` on.
  void write(FieldSink& sink,
             Field field,
             std::int64_t first,
             std::span<const float> values) const {
    const HostTensor bytes = as_field(dtype_, {values.begin(), values.end()});
    sink.write(field, byte_count(dtype_, {first}), bytes.view().bytes());
  }

  // Those of `blocks` blocks from `first_block`, which are whole scaler blocks.
  void write_factors(std::int64_t first_block,
                     std::int64_t blocks,
                     FieldSink& sink) const {
    const std::int64_t begin = first_block / spec_.scaler_block_size;
    const std::int64_t count = blocks / spec_.scaler_block_size;
    write(sink,
          kFactor,
          begin,
          std::span(factors_).subspan(static_cast<std::size_t>(begin),
                                      static_cast<std::size_t>(count)));
  }

  // What belongs to the tensor as a whole.
  void write_shared(FieldSink& sink) const {
    write(sink, kMean, 0, std::span(&mean_, 1));
    write(sink, kTable, 0, table_);
  }

  Shape full_shape_;
  MatrixShape shape_;
  DType dtype_;
  NF4Spec spec_;
  std::array<float, 16> table_;
  std::vector<std::uint8_t> codes_;  // of every value of a 16-bit dtype
  std::vector<float> scalers_;       // largest magnitude of every block
  std::vector<float> factors_;       // one for each scaler block
  float mean_ = 0.0f;
  bool observed_ = false;
};

}  // namespace

std::unique_ptr<Encoder> make_nf4_encoder(const Shape& shape,
                                          DType dtype,
                                          const NF4Spec& spec) {
  return std::make_unique<NF4Encoder>(shape, dtype, spec);
}

}  // namespace mantissa
