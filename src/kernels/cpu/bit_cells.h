#pragma once

// The cells of common/bit_layout.h on vectors: code j of every cell in s[j],
// byte m of every cell in p[m]. Codes have no bits above their width, so a
// shift that keeps them inside their byte needs no mask.

namespace mantissa::kernels {
namespace {

// The bits of kMask of every byte of v moved to the left.
template <class V, int kLeft, int kMask>
[[gnu::always_inline]] inline typename V::T field(typename V::T v) {
  return V::bit_and(V::template shift<kLeft>(v), V::broadcast(kMask));
}

template <class V>
[[gnu::always_inline]] inline typename V::T or4(typename V::T a,
                                                typename V::T b,
                                                typename V::T c,
                                                typename V::T d) {
  return V::bit_or(V::bit_or(a, b), V::bit_or(c, d));
}

template <class V, int kBits>
struct Cell;

template <class V>
struct Cell<V, 1> {
  using T = typename V::T;
  [[gnu::always_inline]] static inline void pack(const T* s, T* p) {
    p[0] = V::bit_or(or4<V>(V::template shift<7>(s[0]),
                            V::template shift<6>(s[1]),
                            V::template shift<5>(s[2]),
                            V::template shift<4>(s[3])),
                     or4<V>(V::template shift<3>(s[4]),
                            V::template shift<2>(s[5]),
                            V::template shift<1>(s[6]),
                            s[7]));
  }
  [[gnu::always_inline]] static inline void unpack(const T* p, T* s) {
    s[0] = field<V, -7, 1>(p[0]);
    s[1] = field<V, -6, 1>(p[0]);
    s[2] = field<V, -5, 1>(p[0]);
    s[3] = field<V, -4, 1>(p[0]);
    s[4] = field<V, -3, 1>(p[0]);
    s[5] = field<V, -2, 1>(p[0]);
    s[6] = field<V, -1, 1>(p[0]);
    s[7] = field<V, 0, 1>(p[0]);
  }
};

template <class V>
struct Cell<V, 2> {
  using T = typename V::T;
  [[gnu::always_inline]] static inline void pack(const T* s, T* p) {
    p[0] = or4<V>(V::template shift<6>(s[0]),
                  V::template shift<4>(s[1]),
                  V::template shift<2>(s[2]),
                  s[3]);
  }
  [[gnu::always_inline]] static inline void unpack(const T* p, T* s) {
    s[0] = field<V, -6, 3>(p[0]);
    s[1] = field<V, -4, 3>(p[0]);
    s[2] = field<V, -2, 3>(p[0]);
    s[3] = field<V, 0, 3>(p[0]);
  }
};

template <class V>
struct Cell<V, 3> {
  using T = typename V::T;
  [[gnu::always_inline]] static inline T two(T high, T low) {
    return V::bit_or(V::template shift<3>(high), low);
  }
  [[gnu::always_inline]] static inline void pack(const T* s, T* p) {
    p[0] = V::bit_or(two(s[0], s[1]), field<V, 6, 0xc0>(s[6]));
    p[1] = V::bit_or(two(s[2], s[3]), field<V, 6, 0xc0>(s[7]));
    p[2] =
        V::bit_or(two(s[4], s[5]),
                  V::bit_or(field<V, 5, 0x80>(s[6]), field<V, 4, 0x40>(s[7])));
  }
  [[gnu::always_inline]] static inline void unpack(const T* p, T* s) {
    s[0] = field<V, -3, 7>(p[0]);
    s[1] = field<V, 0, 7>(p[0]);
    s[2] = field<V, -3, 7>(p[1]);
    s[3] = field<V, 0, 7>(p[1]);
    s[4] = field<V, -3, 7>(p[2]);
    s[5] = field<V, 0, 7>(p[2]);
    s[6] = V::bit_or(field<V, -6, 3>(p[0]), field<V, -5, 4>(p[2]));
    s[7] = V::bit_or(field<V, -6, 3>(p[1]), field<V, -4, 4>(p[2]));
  }
};

template <class V>
struct Cell<V, 4> {
  using T = typename V::T;
  [[gnu::always_inline]] static inline void pack(const T* s, T* p) {
    p[0] = V::bit_or(s[0], V::template shift<4>(s[1]));
  }
  [[gnu::always_inline]] static inline void unpack(const T* p, T* s) {
    s[0] = field<V, 0, 15>(p[0]);
    s[1] = field<V, -4, 15>(p[0]);
  }
};

template <class V>
struct Cell<V, 5> {
  using T = typename V::T;
  [[gnu::always_inline]] static inline T two(T low, T high) {
    return V::bit_or(low, field<V, 5, 0xe0>(high));
  }
  [[gnu::always_inline]] static inline void pack(const T* s, T* p) {
    p[0] = two(s[0], s[1]);
    p[1] = two(s[2], s[3]);
    p[2] = two(s[4], s[5]);
    p[3] = two(s[6], s[7]);
    p[4] = or4<V>(field<V, -3, 0x03>(s[1]),
                  field<V, -1, 0x0c>(s[3]),
                  field<V, 1, 0x30>(s[5]),
                  field<V, 3, 0xc0>(s[7]));
  }
  [[gnu::always_inline]] static inline void unpack(const T* p, T* s) {
    s[0] = field<V, 0, 0x1f>(p[0]);
    s[1] = V::bit_or(field<V, -5, 7>(p[0]), field<V, 3, 0x18>(p[4]));
    s[2] = field<V, 0, 0x1f>(p[1]);
    s[3] = V::bit_or(field<V, -5, 7>(p[1]), field<V, 1, 0x18>(p[4]));
    s[4] = field<V, 0, 0x1f>(p[2]);
    s[5] = V::bit_or(field<V, -5, 7>(p[2]), field<V, -1, 0x18>(p[4]));
    s[6] = field<V, 0, 0x1f>(p[3]);
    s[7] = V::bit_or(field<V, -5, 7>(p[3]), field<V, -3, 0x18>(p[4]));
  }
};

template <class V>
struct Cell<V, 6> {
  using T = typename V::T;
  [[gnu::always_inline]] static inline void pack(const T* s, T* p) {
    p[0] = V::bit_or(s[0], field<V, 6, 0xc0>(s[3]));
    p[1] = V::bit_or(s[1], field<V, 4, 0xc0>(s[3]));
    p[2] = V::bit_or(s[2], field<V, 2, 0xc0>(s[3]));
  }
  [[gnu::always_inline]] static inline void unpack(const T* p, T* s) {
    s[0] = field<V, 0, 0x3f>(p[0]);
    s[1] = field<V, 0, 0x3f>(p[1]);
    s[2] = field<V, 0, 0x3f>(p[2]);
    s[3] = V::bit_or(
        field<V, -6, 0x03>(p[0]),
        V::bit_or(field<V, -4, 0x0c>(p[1]), field<V, -2, 0x30>(p[2])));
  }
};

template <class V>
struct Cell<V, 7> {
  using T = typename V::T;
  [[gnu::always_inline]] static inline void pack(const T* s, T* p) {
    p[0] = V::bit_or(s[0], field<V, 7, 0x80>(s[7]));
    p[1] = V::bit_or(s[1], field<V, 6, 0x80>(s[7]));
    p[2] = V::bit_or(s[2], field<V, 5, 0x80>(s[7]));
    p[3] = V::bit_or(s[3], field<V, 4, 0x80>(s[7]));
    p[4] = V::bit_or(s[4], field<V, 3, 0x80>(s[7]));
    p[5] = V::bit_or(s[5], field<V, 2, 0x80>(s[7]));
    p[6] = V::bit_or(s[6], field<V, 1, 0x80>(s[7]));
  }
  [[gnu::always_inline]] static inline void unpack(const T* p, T* s) {
    for (int j = 0; j < 7; ++j) s[j] = field<V, 0, 0x7f>(p[j]);
    s[7] = V::bit_or(or4<V>(field<V, -7, 0x01>(p[0]),
                            field<V, -6, 0x02>(p[1]),
                            field<V, -5, 0x04>(p[2]),
                            field<V, -4, 0x08>(p[3])),
                     V::bit_or(field<V, -3, 0x10>(p[4]),
                               V::bit_or(field<V, -2, 0x20>(p[5]),
                                         field<V, -1, 0x40>(p[6]))));
  }
};

template <class V>
struct Cell<V, 8> {
  using T = typename V::T;
  [[gnu::always_inline]] static inline void pack(const T* s, T* p) {
    p[0] = s[0];
  }
  [[gnu::always_inline]] static inline void unpack(const T* p, T* s) {
    s[0] = p[0];
  }
};

}  // namespace
}  // namespace mantissa::kernels
