// What a project of our users' looks like: encode a weight, decode it again.
#include <mantissa/core.h>

#include <cmath>
#include <cstdio>

int main() {
  mantissa::HostTensor weight(mantissa::DType::Float32, {4, 64});
  for (std::int64_t i = 0; i < weight.numel(); ++i) {
    weight.as<float>()[i] = std::sin(0.1f * static_cast<float>(i));
  }
  std::printf("%s, %d formats\n",
              mantissa::to_string(weight.shape()).c_str(),
              static_cast<int>(mantissa::formats().size()));
  return weight.nbytes() == 4 * 64 * 4 ? 0 : 1;
}
