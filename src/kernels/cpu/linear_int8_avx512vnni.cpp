#include <immintrin.h>

#include "kernels/cpu/int8_sums_loops.h"
#include "kernels/linear_int8_args.h"

namespace mantissa::kernels {
namespace {

// vpdpbusd takes one side without a sign: x + 128, and 128 times the sum of the
// other side comes off again. Sums wrap around 2^32 alike on both sides of the
// difference, which fits.
struct Avx512Int8 {
  static constexpr int64_t kRows = 4;
  static constexpr int64_t kStep = 64;

  template <int64_t kR, int64_t kC>
  static inline void block(const int8_t* x,
                           const int8_t* w,
                           int64_t k,
                           int64_t stride,
                           int32_t* sums) {
    const __m512i sign = _mm512_set1_epi8(static_cast<char>(0x80));
    __m512i acc[kR][kC];
    __m512i offset[kC];
    for (int64_t c = 0; c < kC; ++c) {
      offset[c] = _mm512_setzero_si512();
      for (int64_t r = 0; r < kR; ++r) acc[r][c] = _mm512_setzero_si512();
    }
    for (int64_t i = 0; i < k; i += kStep) {
      const __mmask64 there =
          k - i >= kStep ? ~__mmask64{0} : (__mmask64{1} << (k - i)) - 1;
      __m512i a[kR];
      for (int64_t r = 0; r < kR; ++r) {
        a[r] = _mm512_xor_si512(_mm512_maskz_loadu_epi8(there, x + r * k + i),
                                sign);
      }
      for (int64_t c = 0; c < kC; ++c) {
        const __m512i b = _mm512_maskz_loadu_epi8(there, w + c * k + i);
        offset[c] = _mm512_dpbusd_epi32(offset[c], sign, b);
        for (int64_t r = 0; r < kR; ++r) {
          acc[r][c] = _mm512_dpbusd_epi32(acc[r][c], a[r], b);
        }
      }
    }
    for (int64_t r = 0; r < kR; ++r) {
      for (int64_t c = 0; c < kC; ++c) {
        sums[r * stride + c] =
            _mm512_reduce_add_epi32(_mm512_sub_epi32(acc[r][c], offset[c]));
      }
    }
  }
};

}  // namespace

void run_linear_i8dyn_i8c_avx512vnni(Element out,
                                     const LinearInt8Args& args,
                                     const LinearInt8Tile& tile) {
  run_linear_int8_with(int8_sums<Avx512Int8>, out, args, tile);
}

}  // namespace mantissa::kernels
