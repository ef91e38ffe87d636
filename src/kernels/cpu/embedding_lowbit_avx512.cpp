#include "kernels/cpu/columns_avx512.h"
#include "kernels/cpu/embedding_lowbit_loops.h"
#include "kernels/cpu/vector_avx512.h"

namespace mantissa::kernels {
namespace {

struct RowAvx512 : Columns16 {
  template <Element kOut>
  static inline void put(Float v, void* out) {
    Avx512::store<kOut>(v, out);
  }
};

}  // namespace

void run_embedding_lowbit_avx512(const EmbeddingLowbitArgs& args,
                                 int64_t begin,
                                 int64_t end) {
  run_embedding<RowAvx512>(args, begin, end);
}

}  // namespace mantissa::kernels
