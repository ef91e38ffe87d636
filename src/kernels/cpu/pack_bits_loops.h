#pragma once

// Only C headers and <immintrin.h> here: instruction-set files include this.
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "kernels/cpu/bit_blocks.h"
#include "kernels/pack_bits_args.h"

namespace mantissa::kernels {
namespace {

// What is added to a code before it is stored.
inline int offset_of(int bits, CodeRange range) {
  return range == CodeRange::Signed && bits < 8 ? 1 << (bits - 1) : 0;
}

inline bool is_aligned(const void* p, uintptr_t bytes) {
  return reinterpret_cast<uintptr_t>(p) % bytes == 0;
}

// Hardware prefetchers stop at the end of a page: asks for what is read that
// many bytes later.
constexpr int kAhead = 4096;

// The lines of the kBytes bytes kAhead behind p.
template <int kBytes>
[[gnu::always_inline]] inline void prefetch(const void* p) {
  const char* ahead = static_cast<const char*>(p) + kAhead;
  for (int i = 0; i < kBytes; i += 64) _mm_prefetch(ahead + i, _MM_HINT_T0);
}

// One vector's worth of codes; `seen` gathers the bits that they have.
template <class V, int kBits, int kBlock, bool kStream>
[[gnu::always_inline]] inline void pack_step(const int8_t* codes,
                                             typename V::T offset,
                                             typename V::T& seen,
                                             uint8_t* packed) {
  using T = typename V::T;
  T rows[8];
  T bytes[kBits];
  V::load_rows(codes, rows);
  each<8>([&]<int kI>() __attribute__((always_inline)) {
    rows[kI] = V::add8(rows[kI], offset);
    seen = V::bit_or(seen, rows[kI]);
  });
  pack_lanes<V, kBits, kBlock>(rows, bytes);
  V::template store_units<kStream, kBits>(packed, bytes);
}

template <class V, int kBits, int kBlock, bool kStream>
bool pack_blocks(const int8_t* codes,
                 int64_t count,
                 int offset,
                 uint8_t* packed) {
  using T = typename V::T;
  constexpr int kCodes = 128 * V::kLanes;
  const T offsets = V::broadcast(offset);
  T seen = V::zero();
  int64_t i = 0;
  for (; i + kCodes <= count; i += kCodes) {
    prefetch<kCodes>(codes + i);
    pack_step<V, kBits, kBlock, kStream>(
        codes + i, offsets, seen, packed + i * kBits / 8);
  }
  if (kStream) _mm_sfence();
  if (i < count) {
    int8_t last[kCodes] = {};  // 0 is in every range
    uint8_t out[kCodes * kBits / 8];
    memcpy(last, codes + i, static_cast<size_t>(count - i));
    pack_step<V, kBits, kBlock, false>(last, offsets, seen, out);
    memcpy(packed + i * kBits / 8,
           out,
           static_cast<size_t>((count - i) * kBits / 8));
  }
  const int above = kBits == 8 ? 0 : -1 << (kBits % 8);
  return !V::any(V::bit_and(seen, V::broadcast(above)));
}

template <class V, int kBits, int kBlock, bool kStream>
[[gnu::always_inline]] inline void unpack_step(const uint8_t* packed,
                                               typename V::T offset,
                                               int8_t* codes) {
  using T = typename V::T;
  T bytes[kBits];
  T rows[8];
  V::template load_units<kBits>(packed, bytes);
  unpack_lanes<V, kBits, kBlock>(bytes, rows);
  each<8>([&]<int kI>() __attribute__((always_inline)) {
    rows[kI] = V::sub8(rows[kI], offset);
  });
  V::template store_rows<kStream>(codes, rows);
}

template <class V, int kBits, int kBlock, bool kStream>
void unpack_blocks(const uint8_t* packed,
                   int64_t count,
                   int offset,
                   int8_t* codes) {
  constexpr int kCodes = 128 * V::kLanes;
  const typename V::T offsets = V::broadcast(offset);
  int64_t i = 0;
  for (; i + kCodes <= count; i += kCodes) {
    prefetch<kCodes * kBits / 8>(packed + i * kBits / 8);
    unpack_step<V, kBits, kBlock, kStream>(
        packed + i * kBits / 8, offsets, codes + i);
  }
  if (kStream) _mm_sfence();
  if (i < count) {
    uint8_t last[kCodes * kBits / 8] = {};
    int8_t out[kCodes];
    memcpy(last,
           packed + i * kBits / 8,
           static_cast<size_t>((count - i) * kBits / 8));
    unpack_step<V, kBits, kBlock, false>(last, offsets, out);
    memcpy(codes + i, out, static_cast<size_t>(count - i));
  }
}

// 8-bit codes are copied.
template <class V>
void copy_codes(const void* from, int64_t count, void* to, Stores stores) {
  const auto* in = static_cast<const int8_t*>(from);
  auto* out = static_cast<int8_t*>(to);
  constexpr int kBytes = 16 * V::kLanes;
  int64_t i = 0;
  if (stores == Stores::Streaming && is_aligned(to, kBytes)) {
    for (; i + kBytes <= count; i += kBytes) {
      prefetch<kBytes>(in + i);
      V::template put<true>(out + i, V::load(in + i));
    }
    _mm_sfence();
  }
  memcpy(out + i, in + i, static_cast<size_t>(count - i));
}

using PackBlocks = bool (*)(const int8_t*, int64_t, int, uint8_t*);
using UnpackBlocks = void (*)(const uint8_t*, int64_t, int, int8_t*);

struct BlockLoops {
  PackBlocks pack;
  UnpackBlocks unpack;
};

template <class V, bool kStream, int kBits, int kBlock>
constexpr BlockLoops kBlockLoops = {pack_blocks<V, kBits, kBlock, kStream>,
                                    unpack_blocks<V, kBits, kBlock, kStream>};

template <class V, bool kStream, int kBits>
BlockLoops odd_loops(int block) {
  if (block == 32) return kBlockLoops<V, kStream, kBits, 32>;
  if (block == 64) return kBlockLoops<V, kStream, kBits, 64>;
  return kBlockLoops<V, kStream, kBits, 128>;
}

// Blocks of even widths are runs of blocks of 64 or 32.
template <class V, bool kStream, int kBits>
BlockLoops even_loops(int block) {
  return block == 32 ? kBlockLoops<V, kStream, kBits, 32>
                     : kBlockLoops<V, kStream, kBits, 64>;
}

template <class V, bool kStream>
BlockLoops block_loops(int bits, int block) {
  switch (bits) {
    case 1:
      return odd_loops<V, kStream, 1>(block);
    case 2:
      return even_loops<V, kStream, 2>(block);
    case 3:
      return odd_loops<V, kStream, 3>(block);
    case 4:
      return kBlockLoops<V, kStream, 4, 32>;
    case 5:
      return odd_loops<V, kStream, 5>(block);
    case 6:
      return even_loops<V, kStream, 6>(block);
    default:
      return odd_loops<V, kStream, 7>(block);
  }
}

template <class V>
bool pack_bits_loop(const PackBitsProblem& problem, const PackBitsArgs& args) {
  const int64_t count = args.blocks * problem.block;
  if (problem.bits == 8) {
    copy_codes<V>(args.codes, count, args.packed, args.stores);
    return true;
  }
  const bool stream =
      args.stores == Stores::Streaming && is_aligned(args.packed, 16);
  const BlockLoops loops =
      stream ? block_loops<V, true>(problem.bits, problem.block)
             : block_loops<V, false>(problem.bits, problem.block);
  return loops.pack(
      args.codes, count, offset_of(problem.bits, problem.range), args.packed);
}

template <class V>
void unpack_bits_loop(const PackBitsProblem& problem,
                      const UnpackBitsArgs& args) {
  const int64_t count = args.blocks * problem.block;
  if (problem.bits == 8) {
    copy_codes<V>(args.packed, count, args.codes, args.stores);
    return;
  }
  const bool stream = args.stores == Stores::Streaming &&
                      is_aligned(args.codes, 16 * V::kLanes);
  const BlockLoops loops =
      stream ? block_loops<V, true>(problem.bits, problem.block)
             : block_loops<V, false>(problem.bits, problem.block);
  loops.unpack(
      args.packed, count, offset_of(problem.bits, problem.range), args.codes);
}

}  // namespace
}  // namespace mantissa::kernels
