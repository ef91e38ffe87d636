// What a project of our users' looks like: encode a weight, decode it again.
#include <mantissa/core.h>
#include <mantissa/formats/int8_tensor.h>

#include <cmath>
#include <cstdio>

int main() {
  mantissa::HostTensor weight(mantissa::DType::Float32, {4, 64});
  for (std::int64_t i = 0; i < weight.numel(); ++i) {
    weight.as<float>()[i] = std::sin(0.1f * static_cast<float>(i));
  }
  const auto encoding = mantissa::make_int8_encoding(
      weight.shape(), weight.dtype(), mantissa::Int8Spec{});
  const auto encoded = mantissa::encode(encoding, weight.view());
  const mantissa::HostTensor back = encoded.decode();

  // Rounded to the nearest of steps of max|w| / 127.5, which is below 1 / 127.
  float worst = 0.0f;
  for (std::int64_t i = 0; i < weight.numel(); ++i) {
    worst = std::fmax(worst,
                      std::fabs(back.as<float>()[i] - weight.as<float>()[i]));
  }
  std::printf("%s %s: %lld bytes, largest error %g\n",
              std::string(encoding->format_name()).c_str(),
              mantissa::to_string(weight.shape()).c_str(),
              static_cast<long long>(mantissa::stored_bytes(*encoding)),
              static_cast<double>(worst));
  return worst > 0.0f && worst < 1.0f / 127.0f ? 0 : 1;
}
