#include "formats/fused_tensor.h"

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mantissa/core/error.h>
#include <mantissa/formats/compressed_tensor.h>
#include <mantissa/formats/float8_tensor.h>
#include <mantissa/formats/int4_tensor.h>
#include <mantissa/formats/intx_unpacked_to_int8_tensor.h>
#include <mantissa/primitives/convert.h>

#include "formats/lowbit_weight.h"

namespace mantissa {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kExperts = 3;
const Shape kMatrix = {24, 64};
const Shape kAll = {kExperts, 48, 64};  // two matrices an expert

std::vector<std::shared_ptr<const Encoding>> matrices() {
  constexpr DType f32 = DType::Float32;
  return {
      make_compressed_encoding(kMatrix, f32, {.num_bits = 4, .group_size = 32}),
      make_compressed_encoding(
          kMatrix,
          DType::BFloat16,
          {.num_bits = 3, .symmetric = false, .group_size = 32}),
      make_compressed_encoding(kMatrix,
                               f32,
                               {.format = CompressedFormat::FloatQuantized,
                                .num_bits = 8,
                                .floating = true,
                                .strategy = CompressedStrategy::Tensor}),
      make_intx_encoding(kMatrix,
                         f32,
                         {.target_dtype = DType::Int5,
                          .granularity = PerGroup{32},
                          .mapping_type = MappingType::Asymmetric}),
      make_int4_encoding(kMatrix, f32, {.group_size = 32}),
      make_float8_encoding(kMatrix, f32, {})};
}

class Fused {
 public:
  explicit Fused(const std::shared_ptr<const Encoding>& matrix)
      : encoding(make_fused_encoding(kAll, matrix)) {
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    for (std::int64_t i = 0; i < fused_count(*encoding); ++i) {
      HostTensor values(DType::Float32, kMatrix);
      for (std::int64_t j = 0; j < values.numel(); ++j) {
        values.as<float>()[j] = normal(random);
      }
      parts.push_back(
          encode(matrix, converted(values.view(), matrix->dtype()).view()));
    }
    const std::vector<FieldLayout> layouts = encoding->fields();
    for (std::size_t f = 0; f < layouts.size(); ++f) {
      std::vector<HostTensor> of_field;
      for (const EncodedTensor& part : parts) {
        of_field.push_back(part.fields[f]);
      }
      fields.push_back(joined(of_field, layouts[f].shape));
    }
  }
  std::vector<ConstTensorView> views() const {
    return EncodedTensor{encoding, fields}.views();
  }

  std::shared_ptr<const Encoding> encoding;
  std::vector<EncodedTensor> parts;
  std::vector<HostTensor> fields;
};

std::string bytes_of(const HostTensor& tensor) {
  const auto bytes = tensor.view().bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string decoded(std::span<const EncodedTensor> parts) {
  std::string out;
  for (const EncodedTensor& part : parts) out += bytes_of(part.decode());
  return out;
}

TEST(FusedTensorTest, ValuesAreThoseOfTheMatrices) {
  for (const auto& matrix : matrices()) {
    const Fused fused(matrix);
    const std::span<const EncodedTensor> parts = fused.parts;
    EXPECT_EQ(fused.encoding->dtype(), matrix->dtype());
    const HostTensor all = fused.encoding->decode(fused.views());
    EXPECT_EQ(all.shape(), kAll);
    EXPECT_EQ(bytes_of(all), decoded(parts));
    const EncodedTensor one = fused.encoding->select(fused.views(), 1);
    EXPECT_EQ(one.encoding->shape(), (Shape{48, 64}));
    EXPECT_EQ(bytes_of(one.decode()), decoded(parts.subspan(2, 2)));
    const EncodedTensor two = fused.encoding->slice(fused.views(), 0, 1, 3);
    EXPECT_EQ(bytes_of(two.decode()), decoded(parts.subspan(2, 4)));
    EXPECT_EQ(fused.encoding->check_values(fused.views()), "");
  }
}

TEST(FusedTensorTest, AMatrixAnExpertIsSelectedAsItIs) {
  const auto matrix = matrices().front();
  const auto encoding = make_fused_encoding({6, 24, 64}, matrix);
  const Fused fused(matrix);
  const EncodedTensor one = encoding->select(fused.views(), 4);
  EXPECT_EQ(one.encoding, matrix);
  EXPECT_EQ(bytes_of(one.decode()), bytes_of(fused.parts[4].decode()));
}

// The runtime layout gives the fields back, bit for bit.
TEST(FusedTensorTest, PackedFieldsComeBack) {
  for (const auto& matrix : matrices()) {
    const Fused fused(matrix);
    ASSERT_EQ(LowbitWeight::refusal(*fused.encoding), "");
    const auto views = fused.views();
    const LowbitWeight packed(
        fused.encoding, views, [](std::int64_t count, const auto& run) {
          run(0, count);
        });
    const std::vector<HostTensor> back = packed.fields();
    ASSERT_EQ(back.size(), fused.fields.size());
    for (std::size_t f = 0; f < back.size(); ++f) {
      EXPECT_EQ(back[f].shape(), fused.fields[f].shape());
      EXPECT_EQ(bytes_of(back[f]), bytes_of(fused.fields[f]))
          << matrix->format_name() << " field " << f;
    }
    EXPECT_LE(packed.bytes(), LowbitWeight::most_bytes(*fused.encoding));
  }
}

TEST(FusedTensorTest, RefusesByName) {
  const auto matrix = matrices().front();
  const auto refused = [](const auto& act) -> std::string {
    try {
      act();
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  };
  for (const Shape& shape : {Shape{3, 47, 64}, Shape{3, 48, 32}, Shape{64}}) {
    EXPECT_THAT(refused([&] { make_fused_encoding(shape, matrix); }),
                HasSubstr("FusedTensor: shape: expected [E, N, K]"));
  }
  const Fused fused(matrix);
  EXPECT_THAT(refused([&] { fused.encoding->slice(fused.views(), 1, 0, 24); }),
              HasSubstr("decode first"));
  EXPECT_THAT(refused([&] { fused.encoding->make_encoder(); }),
              HasSubstr("made of encoded matrices"));
  EXPECT_THAT(refused([&] {
                fused.encoding->rows({0, 0, 8});
              }),
              HasSubstr("read as a whole"));
}

TEST(FusedTensorTest, SaysWhichMatrixIsWrong) {
  const Fused fused(matrices().front());
  fused.fields[1].as<float>()[3 * 24 * 2] = INFINITY;
  EXPECT_THAT(fused.encoding->check_values(fused.views()),
              HasSubstr("matrix 3: "));
}

}  // namespace
}  // namespace mantissa
