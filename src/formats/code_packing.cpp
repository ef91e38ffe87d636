#include "formats/code_packing.h"

#include <cstring>

namespace mantissa {
namespace {

constexpr int kWordBits = 32;
constexpr std::int64_t kBytes = 8;  // codes that one uint64_t holds

// The same byte eight times.
constexpr std::uint64_t bytes_of(std::uint64_t byte) {
  return byte * 0x0101010101010101;
}

// Masks of one step of gather() and scatter(): fields of `bits` bits, one in
// each lane of `lane` bits; every second lane.
struct Lanes {
  std::uint64_t even;
  std::uint64_t odd;
  int shift;  // brings an odd field beside the even one below it
};

constexpr Lanes lanes_of(int bits, int lane) {
  const std::uint64_t field = (std::uint64_t{1} << bits) - 1;
  std::uint64_t even = 0;
  for (int at = 0; at < 64; at += 2 * lane) even |= field << at;
  return {even, even << lane, lane - bits};
}

// Eight codes, one a byte, to two runs of 4 * bits bits, each in the low bits
// of a half:
//
//   bytes  ...d ...c ...b ...a  ->  ......dc ......ba  ->  ............dcba
std::uint64_t gather(std::uint64_t codes,
                     const Lanes& first,
                     const Lanes& next) {
  codes = (codes & first.even) | (codes & first.odd) >> first.shift;
  return (codes & next.even) | (codes & next.odd) >> next.shift;
}

// The inverse of gather().
std::uint64_t scatter(std::uint64_t runs,
                      const Lanes& first,
                      const Lanes& next) {
  runs = (runs & next.even) | (runs << next.shift & next.odd);
  return (runs & first.even) | (runs << first.shift & first.odd);
}

// Bits that come in and words that go out.
class WordWriter {
 public:
  explicit WordWriter(Strided<std::uint32_t> words)
      : out_(words.data), stride_(words.stride) {}

  // At most 32 bits.
  void add(std::uint64_t bits, int count) {
    pending_ |= bits << filled_;
    filled_ += count;
    if (filled_ < kWordBits) return;
    *out_ = static_cast<std::uint32_t>(pending_);
    out_ += stride_;
    pending_ >>= kWordBits;
    filled_ -= kWordBits;
  }
  void finish() {
    if (filled_ > 0) *out_ = static_cast<std::uint32_t>(pending_);
  }

 private:
  std::uint32_t* out_;
  std::int64_t stride_;
  std::uint64_t pending_ = 0;
  int filled_ = 0;
};

class WordReader {
 public:
  // The low `used` bits of each word count.
  WordReader(Strided<const std::uint32_t> words, int used)
      : in_(words.data), stride_(words.stride), used_(used) {}

  // At most 32 bits.
  std::uint64_t take(int count) {
    if (filled_ < count) {
      // Padded words leave nothing pending, so the unused top is cut off.
      const std::uint64_t word =
          used_ == kWordBits ? *in_ : *in_ & ((std::uint32_t{1} << used_) - 1);
      pending_ |= word << filled_;
      filled_ += used_;
      in_ += stride_;
    }
    const std::uint64_t bits = pending_ & ((std::uint64_t{1} << count) - 1);
    pending_ >>= count;
    filled_ -= count;
    return bits;
  }

 private:
  const std::uint32_t* in_;
  std::int64_t stride_;
  int used_;
  std::uint64_t pending_ = 0;
  int filled_ = 0;
};

// Codes of 4 bits, two to a byte, in loops that compilers vectorize.
void pack_nibbles(const std::int8_t* codes, std::int64_t bytes, void* out) {
  auto* to = static_cast<std::uint8_t*>(out);
  for (std::int64_t i = 0; i < bytes; ++i) {
    const auto low = static_cast<std::uint8_t>((codes[2 * i] + 8) & 15);
    const auto high = static_cast<std::uint8_t>(codes[2 * i + 1] + 8);
    to[i] = static_cast<std::uint8_t>(low | high << 4);
  }
}

void unpack_nibbles(const void* from, std::int64_t bytes, std::int8_t* codes) {
  const auto* in = static_cast<const std::uint8_t*>(from);
  for (std::int64_t i = 0; i < bytes; ++i) {
    codes[2 * i] = static_cast<std::int8_t>((in[i] & 15) - 8);
    codes[2 * i + 1] = static_cast<std::int8_t>((in[i] >> 4) - 8);
  }
}

constexpr std::int64_t kWordNibbles = 8;

}  // namespace

std::int64_t packed_words(std::int64_t count, int bits, CodeLayout layout) {
  if (layout == CodeLayout::Padded) {
    const std::int64_t each = kWordBits / bits;
    return (count + each - 1) / each;
  }
  return (count * bits + kWordBits - 1) / kWordBits;
}

void pack_codes(Strided<const std::int8_t> codes,
                std::int64_t count,
                int bits,
                Strided<std::uint32_t> words) {
  if (bits == 4 && codes.stride == 1 && words.stride == 1) {
    const std::int64_t whole = count / kWordNibbles;
    pack_nibbles(codes.data, whole * 4, words.data);
    codes.data += whole * kWordNibbles;
    words.data += whole;
    count -= whole * kWordNibbles;
  }
  WordWriter out(words);
  const Lanes first = lanes_of(bits, 8);
  const Lanes next = lanes_of(2 * bits, 16);
  const std::uint64_t sign = bytes_of(1u << (bits - 1));
  std::int64_t i = 0;
  for (; codes.stride == 1 && i + kBytes <= count; i += kBytes) {
    std::uint64_t eight = 0;
    std::memcpy(&eight, codes.data + i, kBytes);
    const std::uint64_t runs = gather(eight ^ sign, first, next);
    out.add(static_cast<std::uint32_t>(runs), 4 * bits);
    out.add(runs >> kWordBits, 4 * bits);
  }
  const std::uint32_t mask = (1u << bits) - 1;
  const auto offset = static_cast<std::uint32_t>(1 << (bits - 1));
  for (; i < count; ++i) {
    // Its low bits are all that the mask keeps.
    const auto code = static_cast<std::uint8_t>(codes.data[i * codes.stride]);
    out.add((code + offset) & mask, bits);
  }
  out.finish();
}

void unpack_codes(Strided<const std::uint32_t> words,
                  std::int64_t count,
                  int bits,
                  CodeLayout layout,
                  Strided<std::int8_t> codes) {
  const bool dense = layout == CodeLayout::Dense;
  if (bits == 4 && codes.stride == 1 && words.stride == 1) {
    const std::int64_t whole = count / kWordNibbles;
    unpack_nibbles(words.data, whole * 4, codes.data);
    codes.data += whole * kWordNibbles;
    words.data += whole;
    count -= whole * kWordNibbles;
  }
  const int used = dense ? kWordBits : kWordBits / bits * bits;
  WordReader in(words, used);
  std::int64_t i = 0;
  const bool eights = dense && codes.stride == 1;
  const Lanes first = lanes_of(bits, 8);
  const Lanes next = lanes_of(2 * bits, 16);
  const std::uint64_t sign = bytes_of(1u << (bits - 1));
  for (; eights && i + kBytes <= count; i += kBytes) {
    const std::uint64_t low = in.take(4 * bits);
    // Offset binary to two's complement: flip the sign bit, then let it run
    // through the bits above.
    std::uint64_t eight =
        scatter(low | in.take(4 * bits) << kWordBits, first, next) ^ sign;
    eight |= (eight & sign) * ((0x100u >> (bits - 1)) - 2);
    std::memcpy(codes.data + i, &eight, kBytes);
  }
  const int offset = 1 << (bits - 1);
  for (; i < count; ++i) {
    codes.data[i * codes.stride] =
        static_cast<std::int8_t>(static_cast<int>(in.take(bits)) - offset);
  }
}

}  // namespace mantissa
