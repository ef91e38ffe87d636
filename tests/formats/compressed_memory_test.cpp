// What decoding holds beside the codes and the values.

#include <cstdint>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "formats/compressed_tensor.h"

namespace mantissa {
namespace {

std::int64_t status_bytes(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    std::int64_t kibibytes = 0;
    if (word == field + ":" && status >> kibibytes) return kibibytes * 1024;
  }
  return 0;
}

// The peak becomes what is held now; false where the system does not do that.
bool forget_peak() {
  std::ofstream file("/proc/self/clear_refs");
  file << "5" << std::flush;
  return file.good();
}

// Bytes above those held before, at the most.
std::int64_t decode_peak(const CompressedSpec& spec, const Shape& shape) {
  const auto encoding = make_compressed_encoding(shape, DType::BFloat16, spec);
  EncodedTensor weight{encoding, {}};
  for (const FieldLayout& field : encoding->fields()) {
    weight.fields.emplace_back(field.dtype, field.shape);
  }
  const std::int64_t before = status_bytes("VmRSS");
  if (!forget_peak()) return -1;
  EXPECT_EQ(weight.decode().shape(), shape);
  return status_bytes("VmHWM") - before;
}

TEST(CompressedMemory, DecodingWidensAPartAtATime) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers keep freed memory and shadows of it";
#endif
  const Shape shape = {4096, 2048};
  const std::int64_t weights = shape[0] * shape[1];
  for (const auto strategy :
       {CompressedStrategy::Channel, CompressedStrategy::Tensor}) {
    const std::int64_t peak =
        decode_peak({.format = CompressedFormat::FloatQuantized,
                     .num_bits = 8,
                     .floating = true,
                     .strategy = strategy},
                    shape);
    if (peak < 0) GTEST_SKIP() << "no /proc/self/clear_refs";
    // The codes, a byte each, and bfloat16 values; all weights in float32 would
    // take 32 MiB more. Each of the small buffers may take pages of 2 MiB.
    EXPECT_LT(peak, 3 * weights + (8 << 20));
    EXPECT_GT(peak, 3 * weights - (1 << 20));
  }
}

}  // namespace
}  // namespace mantissa
