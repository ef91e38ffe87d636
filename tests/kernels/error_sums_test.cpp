#include "kernels/error_sums.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "kernels/common/load_element.h"
#include "kernels/encode_cases.h"

namespace mantissa::kernels {
namespace {

constexpr Element kElements[] = {Element::F32, Element::Bf16, Element::F16};
constexpr std::int64_t kRows = 3;

std::vector<RowErrorSums> run(const ErrorSumsKernel& kernel,
                              Element type,
                              const EncodeInput& x,
                              const EncodeInput& y,
                              std::int64_t columns) {
  std::vector<RowErrorSums> sums(kRows);
  kernel.run(type, {x.data(), y.data(), kRows, columns, sums.data()});
  return sums;
}

void expect_bits(double got, double want, const std::string& what) {
  EXPECT_EQ(std::bit_cast<std::uint64_t>(got),
            std::bit_cast<std::uint64_t>(want))
      << what << ": " << got << " for " << want;
}

TEST(ErrorSumsTest, EveryRowEqualsTheReferenceToTheBit) {
  const ErrorSumsKernel& reference = error_sums_kernels().back();
  for (const Element type : kElements) {
    for (const std::int64_t columns : awkward_sizes()) {
      const EncodeInput x(
          type, kRows * columns, EncodeInput::Special::FiniteOnly, 1);
      const EncodeInput y(
          type, kRows * columns, EncodeInput::Special::FiniteOnly, 2);
      const auto want = run(reference, type, x, y, columns);
      for (const ErrorSumsKernel& kernel : error_sums_kernels()) {
        if (kernel.refuses({type}, host_caps()) != nullptr) continue;
        const auto got = run(kernel, type, x, y, columns);
        for (std::size_t r = 0; r < want.size(); ++r) {
          const std::string what = std::string(kernel.name) + " columns " +
                                   std::to_string(columns) + " row " +
                                   std::to_string(r);
          expect_bits(got[r].signal, want[r].signal, what + " signal");
          expect_bits(got[r].noise, want[r].noise, what + " noise");
          expect_bits(got[r].max_error, want[r].max_error, what + " error");
          expect_bits(got[r].max_x, want[r].max_x, what + " x");
        }
      }
    }
  }
}

TEST(ErrorSumsTest, ReferenceEqualsPlainSums) {
  const ErrorSumsKernel& reference = error_sums_kernels().back();
  constexpr std::int64_t kColumns = 1000;
  // Some of the cases overflow float16.
  for (const Element type : {Element::F32, Element::Bf16}) {
    const EncodeInput x(
        type, kRows * kColumns, EncodeInput::Special::FiniteOnly, 3);
    const EncodeInput y(
        type, kRows * kColumns, EncodeInput::Special::FiniteOnly, 4);
    const auto sums = run(reference, type, x, y, kColumns);
    for (std::int64_t r = 0; r < kRows; ++r) {
      long double signal = 0;
      long double noise = 0;
      double max_error = 0;
      double max_x = 0;
      for (std::int64_t i = r * kColumns; i < (r + 1) * kColumns; ++i) {
        const double a = load_element(type, x.data(), i);
        const double b = load_element(type, y.data(), i);
        signal += static_cast<long double>(a) * a;
        noise += static_cast<long double>(a - b) * (a - b);
        max_error = std::max(max_error, std::abs(a - b));
        max_x = std::max(max_x, std::abs(a));
      }
      const RowErrorSums& found = sums[static_cast<std::size_t>(r)];
      // Each of 1000 additions rounds by at most 2^-53 of the sum.
      EXPECT_NEAR(
          found.signal, static_cast<double>(signal), found.signal * 1e-13);
      EXPECT_NEAR(found.noise, static_cast<double>(noise), found.noise * 1e-13);
      EXPECT_EQ(found.max_error, max_error);
      EXPECT_EQ(found.max_x, max_x);
    }
  }
}

}  // namespace
}  // namespace mantissa::kernels
