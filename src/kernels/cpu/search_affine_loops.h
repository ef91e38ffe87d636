#pragma once

// Eight floats as GCC and clang lower them to each instruction set: the same
// operations in the same order everywhere, so the same bits. Only C headers
// here: instruction-set files include this.
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/search_affine_args.h"

namespace mantissa::kernels {
namespace {

typedef float Lanes __attribute__((vector_size(4 * kSearchLanes)));
typedef int32_t LaneMask __attribute__((vector_size(4 * kSearchLanes)));

inline Lanes lanes_at(const float* p) {
  Lanes out;
  memcpy(&out, p, sizeof(out));
  return out;
}

inline Lanes all_lanes(float v) { return Lanes{} + v; }

inline Lanes smaller(Lanes a, Lanes b) { return a < b ? a : b; }
inline Lanes larger(Lanes a, Lanes b) { return a > b ? a : b; }

// Half to even, for magnitudes up to 2^22.
inline Lanes to_integer(Lanes v) {
  const Lanes shift = all_lanes(12582912.0f);  // 1.5 * 2^23
  return (v + shift) - shift;
}

inline LaneMask bits_of(Lanes v) {
  LaneMask out;
  memcpy(&out, &v, sizeof(out));
  return out;
}

inline Lanes from_bits(LaneMask v) {
  Lanes out;
  memcpy(&out, &v, sizeof(out));
  return out;
}

// Positive values as the dtype of scales holds them; anything may come of
// others and of what is too large.
inline Lanes as_stored(Element stored, Lanes v) {
  if (stored == Element::F32) return v;
  const int shift = stored == Element::F16 ? 13 : 16;
  LaneMask bits = bits_of(v);
  bits += ((1 << (shift - 1)) - 1) + ((bits >> shift) & 1);
  const Lanes rounded = from_bits(bits & (-1 << shift));
  if (stored == Element::Bf16) return rounded;
  // Steps of 2^-24 below the normal numbers of float16.
  return v < all_lanes(0x1p-14f) ? (v + 0.5f) - 0.5f : rounded;
}

class PanelSearch {
 public:
  PanelSearch(const SearchAffineProblem& problem,
              const SearchAffinePanel& panel)
      : problem_(problem),
        panel_(panel),
        low_(all_lanes(static_cast<float>(problem.low))),
        high_(all_lanes(static_cast<float>(problem.high))),
        largest_(all_lanes(problem.stored == Element::F16 ? 65504.0f
                                                          : 3.3895314e38f)),
        scale_(lanes_at(panel.scale)),
        zero_(lanes_at(panel.zero_point)) {}

  void run() {
    Lanes unused;
    error_ = evaluate(scale_, zero_, &unused);
    error_ = error_ == error_ ? error_ : all_lanes(INFINITY);
    Lanes minimum = all_lanes(0.0f);
    Lanes maximum = all_lanes(0.0f);
    for (int64_t i = 0; i < panel_.group; ++i) {
      const Lanes x = lanes_at(panel_.x + i * kSearchLanes);
      minimum = smaller(x, minimum);
      maximum = larger(x, maximum);
    }
    if (problem_.symmetric) {
      maximum = larger(maximum, -minimum);
      minimum = -maximum;
    }
    const auto steps = static_cast<float>(problem_.high - problem_.low);
    // The finer the grid, the less there is to gain from a narrow range.
    // Without zero points there is one try a width, and time for more widths.
    const float narrowest = steps < 5.0f ? 0.5f : steps < 20.0f ? 0.7f : 0.88f;
    const float step =
        (steps < 20.0f ? 0.03f : 0.02f) / (problem_.symmetric ? 3.0f : 1.0f);
    for (int i = 0; 1.05f - step * static_cast<float>(i) > narrowest; ++i) {
      const float part = 1.05f - step * static_cast<float>(i);
      narrow(part, minimum, maximum, steps);
    }
    memcpy(panel_.scale, &scale_, sizeof(scale_));
    memcpy(panel_.zero_point, &zero_, sizeof(zero_));
    memcpy(panel_.error, &error_, sizeof(error_));
  }

 private:
  // The range of the values times `part`, about its middle.
  void narrow(float part, Lanes minimum, Lanes maximum, float steps) {
    const Lanes span = maximum - minimum;
    const Lanes scale = as_stored(problem_.stored, span / steps * part);
    if (problem_.symmetric) return attempt(scale, all_lanes(0.0f));
    const Lanes bottom = minimum + span * ((1.0f - part) / 2.0f);
    const Lanes zero =
        to_integer(smaller(larger(low_ - bottom / scale, low_), high_));
    for (float near = -1.0f; near <= 1.0f; near += 1.0f) {
      attempt(scale, smaller(larger(zero + near, low_), high_));
    }
  }

  // A scale, and the scale of least squares for its codes.
  void attempt(Lanes scale, Lanes zero) {
    Lanes refined;
    take(scale, zero, evaluate(scale, zero, &refined));
    refined = as_stored(problem_.stored, refined);
    Lanes unused;
    take(refined, zero, evaluate(refined, zero, &unused));
  }

  void take(Lanes scale, Lanes zero, Lanes error) {
    const LaneMask better =
        (error < error_) & (scale > all_lanes(0.0f)) & (scale <= largest_);
    error_ = better ? error : error_;
    scale_ = better ? scale : scale_;
    zero_ = better ? zero : zero_;
  }

  Lanes evaluate(Lanes scale, Lanes zero, Lanes* refined) const {
    return panel_.weights == nullptr ? evaluate<false>(scale, zero, refined)
                                     : evaluate<true>(scale, zero, refined);
  }

  template <bool kWeighted>
  Lanes evaluate(Lanes scale, Lanes zero, Lanes* refined) const {
    const Lanes inverse = all_lanes(1.0f) / scale;
    Lanes error = all_lanes(0.0f);
    Lanes product = error;  // of x and its code
    Lanes square = error;   // of the code
    for (int64_t i = 0; i < panel_.group; ++i) {
      const Lanes x = lanes_at(panel_.x + i * kSearchLanes);
      const Lanes inside = smaller(larger(x * inverse + zero, low_), high_);
      const Lanes code = to_integer(inside) - zero;
      const Lanes off = x - code * scale;
      if constexpr (kWeighted) {
        const Lanes weight = lanes_at(panel_.weights + i * kSearchLanes);
        error += off * off * weight;
        product += code * weight * x;
        square += code * weight * code;
      } else {
        error += off * off;
        product += code * x;
        square += code * code;
      }
    }
    *refined = product / square;
    return error;
  }

  const SearchAffineProblem& problem_;
  const SearchAffinePanel& panel_;
  const Lanes low_;
  const Lanes high_;
  const Lanes largest_;
  Lanes scale_;
  Lanes zero_;
  Lanes error_ = {};
};

inline void search_affine_loop(const SearchAffineProblem& problem,
                               const SearchAffinePanel& panel) {
  PanelSearch(problem, panel).run();
}

}  // namespace
}  // namespace mantissa::kernels
