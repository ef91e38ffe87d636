// What libtorch takes by itself: one linear, then the peak memory in bytes.
#include <cstdint>
#include <fstream>
#include <iostream>
#include <string>

#include <ATen/Parallel.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/ones.h>

int main() {
  at::set_num_threads(1);
  const at::Tensor y = at::linear(at::ones({4, 64}), at::ones({64, 64}));
  std::ifstream status("/proc/self/status");
  std::int64_t kibibytes = 0;
  for (std::string word; status >> word;) {
    if (word == "VmHWM:") status >> kibibytes;
  }
  std::cout << kibibytes * 1024 << "\n";
  return y.size(1) == 64 && kibibytes > 0 ? 0 : 1;
}
