#include "kernels/cpu/columns_avx2.h"
#include "kernels/cpu/embedding_lowbit_loops.h"
#include "kernels/cpu/vector_avx2.h"

namespace mantissa::kernels {
namespace {

struct RowAvx2 : Columns8 {
  template <Element kOut>
  static inline void put(Float v, void* out) {
    Avx2::store<kOut>(v, out);
  }
};

}  // namespace

void run_embedding_lowbit_avx2(const EmbeddingLowbitArgs& args,
                               int64_t begin,
                               int64_t end) {
  run_embedding<RowAvx2>(args, begin, end);
}

}  // namespace mantissa::kernels
