#include "kernels/common/store_element.h"
#include "kernels/embedding_lowbit_args.h"
#include "kernels/reference/lowbit_code.h"

namespace mantissa::kernels {

void run_embedding_lowbit_ref(const EmbeddingLowbitArgs& args,
                              std::int64_t begin,
                              std::int64_t end) {
  for (std::int64_t i = begin; i < end; ++i) {
    const std::int64_t row = embedding_row(args, i);
    for (std::int64_t k = 0; k < args.columns; ++k) {
      store_element(args.type,
                    args.out,
                    i * args.columns + k,
                    lowbit_weight(args.w, args.values, row, k));
    }
  }
}

}  // namespace mantissa::kernels
