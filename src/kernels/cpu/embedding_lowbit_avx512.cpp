#include "kernels/cpu/embedding_lowbit_loops.h"
#include "kernels/cpu/vector_avx512.h"

namespace mantissa::kernels {

void run_embedding_lowbit_avx512(const EmbeddingLowbitArgs& args,
                                 int64_t begin,
                                 int64_t end) {
  run_embedding<Avx512>(args, begin, end);
}

}  // namespace mantissa::kernels
