#include "kernels/cpu/attention_bf16_amx_loops.h"
#include "kernels/cpu/tiles_amx.h"

namespace mantissa::kernels {

void pack_attention_bf16_amx(const AttentionBf16Args& args,
                             const AttentionHead& kv_head,
                             int64_t begin,
                             int64_t end,
                             void* packed) {
  pack_panels(args, kv_head, begin, end, packed_for_tiles(args, packed));
}

void attend_bf16_amx(const AttentionBf16Args& args,
                     const AttentionHead& head,
                     int64_t begin,
                     int64_t end,
                     const void* packed) {
  AmxBf16Tiles machine;
  amx_attend_bf16(machine, args, head, begin, end, packed);
}

}  // namespace mantissa::kernels
