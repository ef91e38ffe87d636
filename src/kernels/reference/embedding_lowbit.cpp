#include "kernels/common/store_element.h"
#include "kernels/embedding_lowbit_args.h"
#include "kernels/lowbit_layout.h"
#include "kernels/reference/lowbit_code.h"

namespace mantissa::kernels {

void run_embedding_lowbit_ref(const EmbeddingLowbitArgs& args,
                              std::int64_t begin,
                              std::int64_t end) {
  const LowbitWeightView& w = args.w;
  const std::int64_t groups = w.k / w.group;
  const int offset = 1 << (w.bits - 1);
  for (std::int64_t i = begin; i < end; ++i) {
    const std::int64_t row = embedding_row(args, i);
    const std::int64_t tile = row / kLowbitTile;
    const std::int64_t lane = row % kLowbitTile;
    for (std::int64_t k = 0; k < args.columns; ++k) {
      const std::int64_t at =
          (tile * groups + k / w.group) * kLowbitTile + lane;
      const int zero = w.zeros == nullptr ? 0 : w.zeros[at];
      const int code = lowbit_code(w, tile, lane, k) - offset - zero;
      store_element(
          args.type,
          args.out,
          i * args.columns + k,
          static_cast<float>(code) * lowbit_scale(w.scale_type, w.scales, at));
    }
  }
}

}  // namespace mantissa::kernels
