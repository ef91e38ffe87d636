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
  for (std::int64_t i = begin; i < end; ++i) {
    const std::int64_t row = embedding_row(args, i);
    const std::int64_t tile = row / kLowbitTile;
    const std::int64_t lane = row % kLowbitTile;
    for (std::int64_t k = 0; k < args.columns; ++k) {
      const std::int64_t at =
          (tile * groups + k / w.group) * kLowbitTile + lane;
      store_element(args.type,
                    args.out,
                    i * args.columns + k,
                    lowbit_value(w, tile, lane, k, at) *
                        lowbit_scale(w.scale_type, w.scales, at));
    }
  }
}

}  // namespace mantissa::kernels
