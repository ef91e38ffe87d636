#pragma once

// Only C headers and <immintrin.h> here: instruction-set files include this.
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "kernels/cpu/lanes_avx2.h"

namespace mantissa::kernels {
namespace {

// A field [8 rows, groups] of float32 or int8, as 32-bit integers or floats of
// 8 rows for one group after the other: four groups at a time where there are
// as many, so that rows are read and written in vectors.

constexpr int kBatch = 4;

struct EightRows {
  __m128i low;  // rows 0 to 3
  __m128i high;
};

inline void transpose(__m128i (&v)[kBatch]) {
  const __m128i ab_low = _mm_unpacklo_epi32(v[0], v[1]);
  const __m128i ab_high = _mm_unpackhi_epi32(v[0], v[1]);
  const __m128i cd_low = _mm_unpacklo_epi32(v[2], v[3]);
  const __m128i cd_high = _mm_unpackhi_epi32(v[2], v[3]);
  v[0] = _mm_unpacklo_epi64(ab_low, cd_low);
  v[1] = _mm_unpackhi_epi64(ab_low, cd_low);
  v[2] = _mm_unpacklo_epi64(ab_high, cd_high);
  v[3] = _mm_unpackhi_epi64(ab_high, cd_high);
}

// Four consecutive elements.
inline __m128i load4(const float* p) { return LanesSse::load(p); }
inline __m128i load4(const int8_t* p) {
  int32_t bytes;
  memcpy(&bytes, p, 4);
  return _mm_cvtepi8_epi32(_mm_cvtsi32_si128(bytes));
}
inline void store4(__m128i v, float* p) { LanesSse::store(p, v); }
inline void store4(__m128i v, int8_t* p) {
  const __m128i low_bytes = _mm_setr_epi8(
      0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
  const int32_t bytes = _mm_cvtsi128_si32(_mm_shuffle_epi8(v, low_bytes));
  memcpy(p, &bytes, 4);
}

// Four elements that are `step` apart.
inline __m128i gather4(const float* p, int64_t step) {
  return _mm_castps_si128(_mm_setr_ps(p[0], p[step], p[2 * step], p[3 * step]));
}
inline __m128i gather4(const int8_t* p, int64_t step) {
  return _mm_setr_epi32(p[0], p[step], p[2 * step], p[3 * step]);
}
template <class Element>
inline void scatter4(__m128i v, Element* p, int64_t step) {
  Element value[4];
  store4(v, value);
  for (int i = 0; i < 4; ++i) p[i * step] = value[i];
}

/// Reads the field of 8 rows; groups are taken in order.
template <class Element>
class FieldReader {
 public:
  FieldReader(const Element* field, int64_t groups)
      : field_(field), groups_(groups) {}

  [[gnu::always_inline]] inline EightRows take(int64_t g) {
    const int64_t in_batch = g % kBatch;
    if (g - in_batch + kBatch > groups_) {
      return {gather4(field_ + g, groups_),
              gather4(field_ + 4 * groups_ + g, groups_)};
    }
    if (in_batch == 0) {
      for (int i = 0; i < kBatch; ++i) {
        low_[i] = load4(field_ + i * groups_ + g);
        high_[i] = load4(field_ + (4 + i) * groups_ + g);
      }
      transpose(low_);
      transpose(high_);
    }
    return {low_[in_batch], high_[in_batch]};
  }

 private:
  const Element* field_;
  int64_t groups_;
  __m128i low_[kBatch];
  __m128i high_[kBatch];
};

/// The inverse; of integers the low byte is written.
template <class Element>
class FieldWriter {
 public:
  FieldWriter(Element* field, int64_t groups)
      : field_(field), groups_(groups) {}

  [[gnu::always_inline]] inline void put(int64_t g, EightRows rows) {
    const int64_t in_batch = g % kBatch;
    if (g - in_batch + kBatch > groups_) {
      scatter4(rows.low, field_ + g, groups_);
      scatter4(rows.high, field_ + 4 * groups_ + g, groups_);
      return;
    }
    low_[in_batch] = rows.low;
    high_[in_batch] = rows.high;
    if (in_batch != kBatch - 1) return;
    transpose(low_);
    transpose(high_);
    for (int i = 0; i < kBatch; ++i) {
      store4(low_[i], field_ + i * groups_ + g - in_batch);
      store4(high_[i], field_ + (4 + i) * groups_ + g - in_batch);
    }
  }

 private:
  Element* field_;
  int64_t groups_;
  __m128i low_[kBatch];
  __m128i high_[kBatch];
};

}  // namespace
}  // namespace mantissa::kernels
