#include <immintrin.h>
#include <string.h>

#include "kernels/cpu/int8_sums_loops.h"
#include "kernels/linear_int8_args.h"

namespace mantissa::kernels {
namespace {

// 16 codes at a time, widened: the products of two are exact in 32 bits, also
// of -128 with -128.
struct Avx2Int8 {
  static constexpr int64_t kRows = 2;
  static constexpr int64_t kStep = 16;

  static inline __m256i widened(const int8_t* p) {
    return _mm256_cvtepi8_epi16(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }

  // Codes beyond the row are 0.
  static inline __m256i widened_tail(const int8_t* p, int64_t count) {
    int8_t padded[kStep] = {};
    memcpy(padded, p, static_cast<size_t>(count));
    return widened(padded);
  }

  static inline int32_t sum(__m256i v) {
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(v),
                                 _mm256_extracti128_si256(v, 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1));
    return _mm_cvtsi128_si32(half);
  }

  template <int64_t kR, int64_t kC>
  static inline void block(const int8_t* x,
                           const int8_t* w,
                           int64_t k,
                           int64_t stride,
                           int32_t* sums) {
    __m256i acc[kR][kC];
    for (int64_t r = 0; r < kR; ++r) {
      for (int64_t c = 0; c < kC; ++c) acc[r][c] = _mm256_setzero_si256();
    }
    const auto step = [&](const auto& load, int64_t i) {
      __m256i a[kR];
      for (int64_t r = 0; r < kR; ++r) a[r] = load(x + r * k + i);
      for (int64_t c = 0; c < kC; ++c) {
        const __m256i b = load(w + c * k + i);
        for (int64_t r = 0; r < kR; ++r) {
          acc[r][c] = _mm256_add_epi32(acc[r][c], _mm256_madd_epi16(a[r], b));
        }
      }
    };
    int64_t i = 0;
    for (; i + kStep <= k; i += kStep) step(widened, i);
    if (i < k) {
      step([&](const int8_t* p) { return widened_tail(p, k - i); }, i);
    }
    for (int64_t r = 0; r < kR; ++r) {
      for (int64_t c = 0; c < kC; ++c) sums[r * stride + c] = sum(acc[r][c]);
    }
  }
};

}  // namespace

void run_linear_i8dyn_i8c_avx2(Element out,
                               const LinearInt8Args& args,
                               const LinearInt8Tile& tile) {
  run_linear_int8_with(int8_sums<Avx2Int8>, out, args, tile);
}

}  // namespace mantissa::kernels
