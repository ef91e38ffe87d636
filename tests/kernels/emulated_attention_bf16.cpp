// Compiled with the instruction set of the row: only C headers here.
#include "kernels/cpu/attention_bf16_amx_loops.h"
#include "kernels/emulated_bf16_machine.h"

namespace mantissa::kernels {

void attend_bf16_emulated(const AttentionBf16Args& args,
                          const AttentionHead& head,
                          int64_t begin,
                          int64_t end,
                          const void* packed) {
  EmulatedBf16Tiles machine;
  amx_attend_bf16(machine, args, head, begin, end, packed);
}

}  // namespace mantissa::kernels
