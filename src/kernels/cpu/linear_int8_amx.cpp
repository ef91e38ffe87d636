#include "kernels/cpu/int8_sums_amx_loops.h"
#include "kernels/cpu/tiles_amx.h"
#include "kernels/linear_int8_args.h"

namespace mantissa::kernels {
namespace {

void sums_amx(const int8_t* x,
              const int8_t* w,
              int64_t k,
              int64_t rows,
              int64_t columns,
              int32_t* sums) {
  AmxTiles machine;
  int8_sums_on_tiles(machine, x, w, k, rows, columns, sums);
}

}  // namespace

void run_linear_i8dyn_i8c_amx(Element out,
                              const LinearInt8Args& args,
                              const LinearInt8Tile& tile) {
  run_linear_int8_with(sums_amx, out, args, tile);
}

}  // namespace mantissa::kernels
