#pragma once

#include <memory>
#include <string_view>

#include <mantissa/formats/compressed_tensor.h>

namespace mantissa {

/// Where the parts of an encoding of compressed-tensors stand in its fields.
struct CompressedFields {
  static constexpr std::size_t kCodes = 0;
  static constexpr std::size_t kScale = 1;
  std::size_t zero_point = 0;  ///< 0: there is none
  std::size_t shape = 0;       ///< 0: there is none
  std::size_t inputs = 0;      ///< the first of CompressedSpec::input_fields
};

/// Encoding of compressed-tensors: see make_compressed_encoding().
class CompressedEncoding final : public Encoding {
 public:
  /// `inner`: an encoding of torchao whose codes, scales and zero points fill
  /// the fields; null: the qparams of compressed-tensors. `whole` is what
  /// weight_shape holds, the shape unless this is a block of rows.
  CompressedEncoding(Shape shape,
                     DType dtype,
                     CompressedSpec spec,
                     std::shared_ptr<const Encoding> inner,
                     Shape whole);

  const CompressedSpec& spec() const { return spec_; }
  const std::shared_ptr<const Encoding>& inner() const { return inner_; }
  DType scale_dtype() const { return spec_.scale_dtype.value_or(dtype()); }
  bool packed() const {
    return spec_.format == CompressedFormat::PackQuantized;
  }
  CompressedFields field_indices() const;
  /// Codes that compressed-tensors allows.
  IntegerRange range() const;
  /// Words of one row of weight_packed.
  std::int64_t row_words() const;
  /// Rows that share a row of scales, columns that share a scale.
  std::int64_t scale_rows() const;
  std::int64_t scale_columns() const;
  /// Scales of one row.
  std::int64_t groups() const;
  Shape scale_shape() const;

  std::string_view format_name() const override { return name(spec_.format); }
  std::vector<FieldLayout> fields() const override;
  std::string attributes_json() const override;
  std::unique_ptr<Encoder> make_encoder() const override;
  HostTensor decode(std::span<const ConstTensorView> fields) const override;
  EncodedTensor slice(std::span<const ConstTensorView> fields,
                      std::int64_t dim,
                      std::int64_t begin,
                      std::int64_t end) const override;
  EncodedTensor select(std::span<const ConstTensorView> fields,
                       std::int64_t index) const override;
  EncodedRows rows(const RowBlock& block) const override;
  std::int64_t row_unit() const override;
  std::int64_t pass_bytes() const override {
    return inner_ == nullptr ? 0 : inner_->pass_bytes();
  }
  std::string check_values(
      std::span<const ConstTensorView> fields) const override;

  /// Codes [N, K] one to a byte (int8 or float8).
  HostTensor codes(std::span<const ConstTensorView> fields) const;
  /// Zero points int8 [N, G], all 0 when symmetric.
  HostTensor zero_points(std::span<const ConstTensorView> fields) const;
  /// Fields from codes [N, K], scales and zero points [N, G]; those of
  /// CompressedSpec::input_fields are zeros.
  std::vector<HostTensor> assemble(ConstTensorView codes,
                                   ConstTensorView scale,
                                   ConstTensorView zero_point) const;

 private:
  CompressedSpec spec_;
  std::shared_ptr<const Encoding> inner_;
  Shape whole_;
};

/// Rows whose zero points fill whole words, whatever the width.
inline constexpr std::int64_t kZeroPointRows = 32;

/// "" or what is wrong with shape, dtype and spec together.
std::string compressed_refusal(const Shape& shape,
                               DType dtype,
                               const CompressedSpec& spec);

/// Packed zero points of rows [rows, G], [ceil(rows * bits / 32), G] words.
std::vector<std::uint32_t> pack_zero_points(const std::int8_t* zero_point,
                                            std::int64_t rows,
                                            std::int64_t groups,
                                            int bits);

/// Encoder with the qparams of compressed-tensors.
std::unique_ptr<Encoder> make_compressed_encoder(
    const CompressedEncoding& encoding);

/// Encoder that stores what encoding.inner() makes.
std::unique_ptr<Encoder> make_repack_encoder(
    const CompressedEncoding& encoding);

/// Takes qdata, scale and zero_point of torchao (fields 0, 1, 2; whole rows at
/// a time) and writes the fields of `to`. Scales that the target's dtype does
/// not hold throw Error(Input).
class RepackSink final : public FieldSink {
 public:
  RepackSink(const CompressedEncoding& to, DType scale_dtype, FieldSink& out)
      : to_(to), scale_dtype_(scale_dtype), out_(out) {}

  void write(std::size_t field,
             std::int64_t offset,
             std::span<const std::byte> bytes) override;
  /// The field that no row decides.
  void write_shape();

 private:
  void write_codes(std::int64_t offset, std::span<const std::byte> bytes);
  void write_scales(std::int64_t offset, std::span<const std::byte> bytes);
  void write_zero_points(std::int64_t offset, std::span<const std::byte> bytes);

  const CompressedEncoding& to_;
  DType scale_dtype_;
  FieldSink& out_;
};

/// The fixed field: N and K in the dtype of weight_shape.
HostTensor weight_shape_field(const Shape& shape, DType dtype);

/// The encoding that stores a torchao encoding's codes, scales and zero points,
/// or why there is none.
struct RepackChoice {
  std::shared_ptr<const Encoding> encoding;
  std::string refusal;
  std::string remedy;
};
/// The spec alone; `zero_points`: some are not 0.
RepackChoice compressed_spec_of(const Encoding& encoding,
                                bool zero_points,
                                CompressedSpec& spec);
RepackChoice repack_for_compressed_tensors(
    std::shared_ptr<const Encoding> encoding);

}  // namespace mantissa
