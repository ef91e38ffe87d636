#include "kernels/cpu/search_affine_loops.h"

namespace mantissa::kernels {

void run_search_affine_ref(const SearchAffineProblem& problem,
                           const SearchAffinePanel& panel) {
  search_affine_loop(problem, panel);
}

}  // namespace mantissa::kernels
