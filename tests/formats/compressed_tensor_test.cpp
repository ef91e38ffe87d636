#include <mantissa/formats/compressed_tensor.h>

#include <cmath>
#include <cstring>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mantissa/configs/compressed_scheme.h>
#include <mantissa/core/error.h>
#include <mantissa/primitives/convert.h>

#include "formats/compressed_tensor.h"
#include "support/encode_blocks.h"

namespace mantissa {
namespace {

using support::encode_in_blocks;
using support::same_fields;
using ::testing::HasSubstr;

HostTensor weight(const Shape& shape, DType dtype = DType::BFloat16) {
  HostTensor values(DType::Float32, shape);
  for (std::int64_t i = 0; i < values.numel(); ++i) {
    const double x = static_cast<double>(i);
    values.as<float>()[i] =
        static_cast<float>(std::sin(x * 7 + 1) * (1 + std::fmod(x, 5)));
  }
  return converted(values.view(), dtype);
}

template <class Call>
std::string message(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::vector<CompressedSpec> all_specs() {
  std::vector<CompressedSpec> out;
  for (int bits = 1; bits <= 8; ++bits) {
    for (const bool symmetric : {true, false}) {
      for (const auto strategy :
           {CompressedStrategy::Group, CompressedStrategy::Channel}) {
        out.push_back({.num_bits = bits,
                       .symmetric = symmetric,
                       .strategy = strategy,
                       .group_size = 16});
      }
    }
  }
  out.push_back({.format = CompressedFormat::IntQuantized,
                 .num_bits = 8,
                 .symmetric = false,
                 .strategy = CompressedStrategy::Channel});
  for (const auto strategy : {CompressedStrategy::Tensor,
                              CompressedStrategy::Channel,
                              CompressedStrategy::Block}) {
    out.push_back({.format = CompressedFormat::FloatQuantized,
                   .num_bits = 8,
                   .floating = true,
                   .strategy = strategy,
                   .block_rows = 32,
                   .block_columns = 16});
  }
  return out;
}

TEST(CompressedTensor, StaysWithinHalfAStep) {
  for (const CompressedSpec& spec : all_specs()) {
    if (spec.floating) continue;
    for (const DType dtype : {DType::Float32, DType::BFloat16}) {
      const HostTensor w = weight({37, 48}, dtype);
      const auto encoding = make_compressed_encoding(w.shape(), dtype, spec);
      const EncodedTensor encoded = encode(encoding, w.view());
      EXPECT_EQ(encoding->check_values(encoded.views()), "");
      const HostTensor values = converted(w.view(), DType::Float32);
      const HostTensor back =
          converted(encoded.decode().view(), DType::Float32);
      const auto& own = dynamic_cast<const CompressedEncoding&>(*encoding);
      const HostTensor scale = converted(
          encoded.fields[CompressedFields::kScale].view(), DType::Float32);
      // Half a step, the rounding of the result, and of a rounded zero point;
      // a symmetric range lacks the code of +max, one more step for one bit.
      const float steps =
          spec.symmetric ? (spec.num_bits == 1 ? 2.1f : 0.51f) : 1.01f;
      const float eps = dtype == DType::Float32 ? 1e-6f : 0x1p-7f;
      const auto codes = static_cast<float>(1 << (spec.num_bits - 1));
      for (std::int64_t i = 0; i < w.numel(); ++i) {
        const float x = values.as<float>()[i];
        const float s = scale.as<float>()[i / 48 * own.groups() +
                                          i % 48 / own.scale_columns()];
        ASSERT_LE(std::abs(back.as<float>()[i] - x),
                  steps * s + eps * (std::abs(x) + codes * s))
            << spec.num_bits << " bits at " << i;
      }
    }
  }
}

TEST(CompressedTensor, BlocksOfRowsGiveTheSameBytes) {
  for (const CompressedSpec& spec : all_specs()) {
    const HostTensor w = weight({70, 48});
    const auto encoding = make_compressed_encoding(w.shape(), w.dtype(), spec);
    EXPECT_TRUE(same_fields(encode(encoding, w.view()),
                            encode_in_blocks(encoding, w.view(), 5)))
        << encoding->attributes_json();
  }
}

TEST(CompressedTensor, RowsDecodeByThemselves) {
  for (CompressedSpec spec : all_specs()) {
    const HostTensor w = weight({70, 48});
    const auto encoding = make_compressed_encoding(w.shape(), w.dtype(), spec);
    const EncodedTensor encoded = encode(encoding, w.view());
    const HostTensor whole = encoded.decode();
    const std::int64_t unit = encoding->row_unit();
    for (std::int64_t row = 0; row < 70; row += unit) {
      const RowBlock block{0, row, std::min<std::int64_t>(unit, 70 - row)};
      const EncodedRows rows = encoding->rows(block);
      EncodedTensor part{rows.encoding, {}};
      const auto fields = rows.encoding->fields();
      for (std::size_t i = 0; i < fields.size(); ++i) {
        part.fields.emplace_back(fields[i].dtype, fields[i].shape);
        ASSERT_EQ(rows.fields[i].count, 1);
        ASSERT_EQ(rows.fields[i].bytes, part.fields[i].nbytes());
        std::memcpy(part.fields[i].data(),
                    encoded.fields[i].data() + rows.fields[i].offset,
                    static_cast<std::size_t>(rows.fields[i].bytes));
      }
      EXPECT_EQ(rows.encoding->check_values(part.views()), "");
      const HostTensor values = part.decode();
      ASSERT_EQ(std::memcmp(values.data(),
                            whole.data() + row * 48 * 2,
                            static_cast<std::size_t>(values.nbytes())),
                0)
          << encoding->attributes_json() << " row " << row;
    }
  }
}

TEST(CompressedTensor, SlicesAsTheWeightIsSliced) {
  for (const CompressedSpec& spec : all_specs()) {
    if (spec.strategy == CompressedStrategy::Tensor) continue;
    const HostTensor w = weight({64, 48});
    const auto encoding = make_compressed_encoding(w.shape(), w.dtype(), spec);
    const EncodedTensor encoded = encode(encoding, w.view());
    const EncodedTensor part = encoding->slice(encoded.views(), 0, 32, 64);
    const HostTensor rows(w.dtype(), {32, 48});
    std::memcpy(rows.data(), w.data() + 32 * 48 * 2, 32 * 48 * 2);
    EXPECT_TRUE(same_fields(part, encode(part.encoding, rows.view())))
        << encoding->attributes_json();
  }
}

TEST(CompressedTensor, ZerosDecodeToZeros) {
  for (const CompressedSpec& spec : all_specs()) {
    const HostTensor w(DType::BFloat16, {33, 48});
    const auto encoding = make_compressed_encoding(w.shape(), w.dtype(), spec);
    const HostTensor back =
        converted(encode(encoding, w.view()).decode().view(), DType::Float32);
    for (std::int64_t i = 0; i < back.numel(); ++i) {
      ASSERT_EQ(back.as<float>()[i], 0.0f) << encoding->attributes_json();
    }
  }
}

TEST(CompressedTensor, RefusesWhatDoesNotFit) {
  const CompressedSpec groups{.group_size = 32};
  EXPECT_THAT(message([&] {
                make_compressed_encoding({4, 48}, DType::BFloat16, groups);
              }),
              HasSubstr("expected a divisor of K = 48, got 32"));
  EXPECT_THAT(message([&] {
                make_compressed_encoding({2, 4, 32}, DType::BFloat16, groups);
              }),
              HasSubstr("expected [N, K], got [2, 4, 32]"));
  HostTensor w = weight({4, 32}, DType::Float32);
  w.as<float>()[40] = std::nanf("");
  EXPECT_THAT(message([&] {
                encode(make_compressed_encoding(w.shape(), w.dtype(), groups),
                       w.view());
              }),
              HasSubstr("[1, 8] is NaN or infinite"));
  // Finite weights whose range is not.
  HostTensor huge(DType::BFloat16, {4, 32});
  for (std::int64_t i = 0; i < huge.numel(); ++i) {
    huge.as<std::uint16_t>()[i] = i % 2 == 0 ? 0x7f61 : 0xff61;  // 3e38, -3e38
  }
  CompressedSpec asymmetric = groups;
  asymmetric.symmetric = false;
  EXPECT_THAT(
      message([&] {
        encode(make_compressed_encoding(huge.shape(), huge.dtype(), asymmetric),
               huge.view());
      }),
      HasSubstr("a scale overflows bfloat16"));
  CompressedSpec padded{.layout = CodeLayout::Padded};
  const auto old = make_compressed_encoding({4, 128}, DType::Float32, padded);
  EXPECT_THAT(message([&] { old->make_encoder(); }),
              HasSubstr("is read, not written"));
}

TEST(CompressedTensor, ChecksTheStoredShape) {
  const HostTensor w = weight({4, 128});
  const auto encoding = make_compressed_encoding(w.shape(), w.dtype(), {});
  EncodedTensor encoded = encode(encoding, w.view());
  encoded.fields.back().as<std::int64_t>()[1] = 64;
  EXPECT_EQ(encoding->check_values(encoded.views()),
            "weight_shape[1] is 64, expected 128");
}

double squared_error(const HostTensor& w, const CompressedSpec& spec) {
  const HostTensor decoded =
      encode(make_compressed_encoding(w.shape(), w.dtype(), spec), w.view())
          .decode();
  const HostTensor a = converted(w.view(), DType::Float32);
  const HostTensor b = converted(decoded.view(), DType::Float32);
  double sum = 0;
  for (std::int64_t i = 0; i < a.numel(); ++i) {
    const double off = double{a.as<float>()[i]} - b.as<float>()[i];
    sum += off * off;
  }
  return sum;
}

TEST(CompressedTensor, TheMseObserverComesCloser) {
  for (const DType dtype : {DType::BFloat16, DType::Float16, DType::Float32}) {
    const HostTensor w = weight({40, 96}, dtype);
    for (CompressedSpec spec : all_specs()) {
      if (spec.floating || spec.num_bits < 2 ||
          (spec.strategy != CompressedStrategy::Group &&
           spec.strategy != CompressedStrategy::Channel)) {
        continue;
      }
      const double plain = squared_error(w, spec);
      spec.observer = CompressedObserver::Mse;
      const double searched = squared_error(w, spec);
      // Codes come from a division, the search multiplies: ties may differ.
      EXPECT_LE(searched, plain * (1 + 1e-6)) << compressed_scheme_json(spec);
      if (spec.num_bits <= 4) {
        EXPECT_LT(searched, 0.97 * plain) << compressed_scheme_json(spec);
      }
    }
  }
}

TEST(CompressedTensor, TheMseObserverIsForIntegersInGroupsOrRows) {
  for (const CompressedSpec& spec :
       {CompressedSpec{.format = CompressedFormat::FloatQuantized,
       .num_bits = 8,
       .floating = true,
       .strategy = CompressedStrategy::Channel,
       .observer = CompressedObserver::Mse},
        CompressedSpec{.format = CompressedFormat::NaiveQuantized,
        .num_bits = 8,
        .strategy = CompressedStrategy::Tensor,
        .observer = CompressedObserver::Mse}}) {
    EXPECT_THAT(message([&] {
                  make_compressed_encoding({32, 128}, DType::BFloat16, spec);
                }),
                HasSubstr("observer: mse is for integers"));
  }
}

TEST(CompressedScheme, ReadsFields) {
  const ConfigPtr scheme =
      parse_compressed_scheme("W3A16:observer=mse,group_size=64");
  const auto& spec = dynamic_cast<const CompressedScheme&>(*scheme).spec();
  EXPECT_EQ(spec.group_size, 64);
  EXPECT_EQ(spec.observer, CompressedObserver::Mse);
  EXPECT_THAT(compressed_scheme_json(spec), HasSubstr(R"("observer":"mse")"));
  for (const char* words :
       {"W4A16:", "W4A16:observer=mse,", "W4A16:observer", "W4A16:observer=best", "W4A16:size=3"}) {
    EXPECT_THAT(message([&] { parse_compressed_scheme(words); }),
                HasSubstr("group_size=N, observer=minmax or observer=mse"));
  }
  EXPECT_THAT(message([] {
                parse_compressed_scheme("FP8_DYNAMIC:observer=mse")->validate();
              }),
              HasSubstr("observer=mse is for integer codes"));
}

TEST(CompressedScheme, NamesPresets) {
  const ConfigPtr scheme = parse_compressed_scheme("w4a16_asym:group_size=32");
  ASSERT_NE(scheme, nullptr);
  const auto& spec = dynamic_cast<const CompressedScheme&>(*scheme).spec();
  EXPECT_EQ(spec.num_bits, 4);
  EXPECT_FALSE(spec.symmetric);
  EXPECT_EQ(spec.group_size, 32);
  EXPECT_EQ(parse_compressed_scheme("int8_weight_only"), nullptr);
  EXPECT_EQ(parse_compressed_scheme("W9A16"), nullptr);
  EXPECT_THAT(message([] { parse_compressed_scheme("FP8"); }),
              HasSubstr("use FP8_DYNAMIC"));
  EXPECT_THAT(message([] { parse_compressed_scheme("NVFP4"); }),
              HasSubstr("not available in this version"));
  EXPECT_THAT(message([] { parse_compressed_scheme("W8A8:group_size=32"); }),
              HasSubstr("has no groups"));
  EXPECT_THAT(message([] { parse_compressed_scheme("W4A16:size=3"); }),
              HasSubstr("expected NAME, or NAME: and after it group_size=N"));
  EXPECT_THAT(parse_compressed_scheme("W4A16")
                  ->choose({4, 576}, DType::BFloat16)
                  .remedy,
              HasSubstr("--group-size 64 or 32"));
}

}  // namespace
}  // namespace mantissa
