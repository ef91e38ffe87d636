#pragma once

// What the threads of a benchmark can do at most: read memory, multiply in
// registers.
#include <immintrin.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "core/huge_page_bytes.h"
#include "kernels/caps.h"

namespace mantissa::kernels {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kRotation = std::int64_t{256} << 20;  // bytes of weights

// Threads that wait for work by spinning, so that starting them costs nothing.
class Team {
 public:
  explicit Team(int threads) : threads_(threads) {
    for (int i = 1; i < threads; ++i) {
      workers_.emplace_back([this, i] { serve(i); });
    }
  }
  ~Team() {
    stop_ = true;
    ++round_;
    for (std::thread& worker : workers_) worker.join();
  }
  int size() const { return threads_; }
  // work(thread) on every thread.
  void run(const std::function<void(int)>& work) {
    work_ = &work;
    left_ = threads_ - 1;
    ++round_;
    work(0);
    while (left_ != 0) {
      _mm_pause();
    }
  }

 private:
  void serve(int thread) {
    int seen = 0;
    for (;;) {
      while (round_ == seen) {
        _mm_pause();
      }
      seen = round_;
      if (stop_) return;
      (*work_)(thread);
      --left_;
    }
  }
  int threads_;
  std::vector<std::thread> workers_;
  std::atomic<int> round_ = 0;
  std::atomic<int> left_ = 0;
  std::atomic<bool> stop_ = false;
  const std::function<void(int)>* work_ = nullptr;
};

constexpr int kChains = 16;  // of vpdpbusd: more than its latency takes

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

inline std::atomic<long> g_sink = 0;

// kStreams parts of the bytes at once: the processor fetches ahead for each.
template <int kStreams>
__attribute__((target("avx2"))) long read_avx2(const std::byte* p,
                                               std::int64_t bytes) {
  const std::int64_t part = bytes / kStreams / 128 * 128;
  __m256i s[4] = {};
  for (std::int64_t i = 0; i < part; i += 128) {
#pragma GCC unroll 4
    for (int stream = 0; stream < kStreams; ++stream) {
      const std::byte* at = p + stream * part + i;
      if (kStreams == 1) {
        _mm_prefetch(reinterpret_cast<const char*>(at + 4096), _MM_HINT_T0);
        _mm_prefetch(reinterpret_cast<const char*>(at + 4160), _MM_HINT_T0);
      }
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        s[j] = _mm256_add_epi64(
            s[j],
            _mm256_load_si256(reinterpret_cast<const __m256i*>(at + 32 * j)));
      }
    }
  }
  const __m256i all = _mm256_add_epi64(_mm256_add_epi64(s[0], s[1]),
                                       _mm256_add_epi64(s[2], s[3]));
  return _mm256_extract_epi64(all, 0) + _mm256_extract_epi64(all, 3);
}

template <int kStreams>
double read_rate_of(Team& team, const HugePageBytes& memory) {
  const std::int64_t part = kRotation / team.size() / 4096 * 4096;
  const auto start = Clock::now();
  team.run([&](int t) {
    g_sink += read_avx2<kStreams>(memory.data() + t * part, part);
  });
  return static_cast<double>(part * team.size()) / seconds_since(start);
}

// Bytes a second that the team reads in the way that is fastest at the time.
inline double read_rate(Team& team, const HugePageBytes& memory) {
  return std::max({read_rate_of<1>(team, memory),
                   read_rate_of<2>(team, memory),
                   read_rate_of<4>(team, memory)});
}

__attribute__((target("avx2"))) inline long products_avx2(std::int64_t rounds) {
  __m256i sum[8] = {};
  const __m256i a = _mm256_set1_epi8(3);
  __m256i b = _mm256_set1_epi8(5);
  for (std::int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      __asm__ volatile("" : "+x"(b));  // no product is used twice
      sum[j] = _mm256_add_epi16(sum[j], _mm256_maddubs_epi16(a, b));
      __asm__ volatile("" : "+x"(sum[j]));
    }
  }
  __m256i all = sum[0];
#pragma GCC unroll 8
  for (int j = 1; j < 8; ++j) all = _mm256_add_epi16(all, sum[j]);
  return _mm256_extract_epi64(all, 0);
}

__attribute__((target("avx512f,avx512bw,avx512vnni"))) inline long
products_avx512(std::int64_t rounds) {
  __m512i sum[kChains];
  const __m512i a = _mm512_set1_epi8(3);
  const __m512i b = _mm512_set1_epi8(5);
#pragma GCC unroll 16
  for (int j = 0; j < kChains; ++j) sum[j] = _mm512_set1_epi32(j);
  for (std::int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
    for (int j = 0; j < kChains; ++j) {
      sum[j] = _mm512_dpbusd_epi32(sum[j], a, b);
      // Each chain is its own, in a register.
      __asm__ volatile("" : "+v"(sum[j]));
    }
  }
  __m512i all = sum[0];
#pragma GCC unroll 16
  for (int j = 1; j < kChains; ++j) all = _mm512_add_epi32(all, sum[j]);
  int out[16];
  _mm512_storeu_si512(out, all);
  return out[0] + out[15];
}

// Operations a second (two each product) of the instruction that the preferred
// kernel is made of: vpdpbusd, or vpmaddubsw and a 16-bit addition.
inline double product_rate(Team& team) {
  constexpr std::int64_t kRounds = 400000;
  const bool wide = host_caps().avx512vnni;
  const auto start = Clock::now();
  team.run([&](int) {
    g_sink += wide ? products_avx512(kRounds) : products_avx2(kRounds);
  });
  const double each = wide ? kChains * 128.0 : 8 * 64.0;
  return each * static_cast<double>(kRounds * team.size()) /
         seconds_since(start);
}

// FMAs on registers; `wide`: AVX-512.
__attribute__((target("avx2,fma"))) inline long fmas_avx2(std::int64_t rounds) {
  __m256 sum[12];
  const __m256 a = _mm256_set1_ps(0.5f);
  const __m256 b = _mm256_set1_ps(0.25f);
#pragma GCC unroll 12
  for (int j = 0; j < 12; ++j) sum[j] = _mm256_set1_ps(static_cast<float>(j));
  for (std::int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) {
      sum[j] = _mm256_fmadd_ps(sum[j], a, b);
      __asm__ volatile("" : "+x"(sum[j]));
    }
  }
#pragma GCC unroll 12
  for (int j = 1; j < 12; ++j) sum[0] = _mm256_add_ps(sum[0], sum[j]);
  return static_cast<long>(_mm256_cvtss_f32(sum[0]));
}

__attribute__((target("avx512f"))) inline long fmas_avx512(
    std::int64_t rounds) {
  __m512 sum[12];
  const __m512 a = _mm512_set1_ps(0.5f);
  const __m512 b = _mm512_set1_ps(0.25f);
#pragma GCC unroll 12
  for (int j = 0; j < 12; ++j) sum[j] = _mm512_set1_ps(static_cast<float>(j));
  for (std::int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) {
      sum[j] = _mm512_fmadd_ps(sum[j], a, b);
      __asm__ volatile("" : "+v"(sum[j]));
    }
  }
#pragma GCC unroll 12
  for (int j = 1; j < 12; ++j) sum[0] = _mm512_add_ps(sum[0], sum[j]);
  return static_cast<long>(_mm512_cvtss_f32(sum[0]));
}

// Operations a second (two each FMA of a float).
inline double fma_rate(Team& team) {
  constexpr std::int64_t kRounds = 400000;
  const bool wide = host_caps().avx512;
  const auto start = Clock::now();
  team.run(
      [&](int) { g_sink += wide ? fmas_avx512(kRounds) : fmas_avx2(kRounds); });
  const double each = 12 * (wide ? 32.0 : 16.0);
  return each * static_cast<double>(kRounds * team.size()) /
         seconds_since(start);
}

__attribute__((target("avx512f,avx512bf16"))) inline long bf16s_avx512(
    std::int64_t rounds) {
  __m512 sum[kChains];
  const auto a = reinterpret_cast<__m512bh>(_mm512_set1_epi16(0x3f00));
  const auto b = reinterpret_cast<__m512bh>(_mm512_set1_epi16(0x3e80));
#pragma GCC unroll 16
  for (int j = 0; j < kChains; ++j) sum[j] = _mm512_setzero_ps();
  for (std::int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
    for (int j = 0; j < kChains; ++j) {
      sum[j] = _mm512_dpbf16_ps(sum[j], a, b);
      __asm__ volatile("" : "+v"(sum[j]));
    }
  }
#pragma GCC unroll 16
  for (int j = 1; j < kChains; ++j) sum[0] = _mm512_add_ps(sum[0], sum[j]);
  return static_cast<long>(_mm512_cvtss_f32(sum[0]));
}

// The same of vdpbf16ps; of an FMA of floats where there is none.
inline double bf16_rate(Team& team) {
  constexpr std::int64_t kRounds = 400000;
  if (!host_caps().avx512bf16) return fma_rate(team);
  const auto start = Clock::now();
  team.run([&](int) { g_sink += bf16s_avx512(kRounds); });
  return kChains * 64.0 * static_cast<double>(kRounds * team.size()) /
         seconds_since(start);
}

}  // namespace mantissa::kernels
