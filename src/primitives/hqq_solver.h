#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace mantissa {

/// Parameters of one group as the solver has them: code = round(w * scale +
/// zero), w = (code - zero) / scale. All float32.
struct HqqGroup {
  float scale = 0.0f;
  float zero = 0.0f;
};

/// The starting point for a group of this range; `bits` is 1 to 8. Where the
/// zero point overflows the group counts as constant: it stands for `min`.
HqqGroup hqq_start(float min, float max, int bits);

/// How torch sums a group: see torch_sum() and torch_outer_sum().
enum class HqqSumOrder { Inner, Outer };

/// Codes of one group, 0 .. max_code, as floats.
void hqq_codes(std::span<const float> w,
               const HqqGroup& group,
               float max_code,
               float* codes);

/// One iteration on one group: updates its zero and returns the sum of |w -
/// dequantized| before the update, in float64: eight running sums over the
/// elements i = lane (mod 8), added up in order of the lane. `work` is resized.
double hqq_step(std::span<const float> w,
                float max_code,
                float inverse_beta,
                HqqSumOrder order,
                HqqGroup& group,
                std::vector<float>& work);

/// What all groups share: the step size and when to stop.
class HqqSchedule {
 public:
  explicit HqqSchedule(int iterations = 20) : left_(iterations) {}

  bool running() const { return left_ > 0; }
  float inverse_beta() const { return static_cast<float>(1.0 / beta_); }
  /// Closes an iteration: `error` is the sum over all elements. Stops when the
  /// mean error does not fall; the zeros of that iteration stand.
  void finish_iteration(double error, std::int64_t elements);

 private:
  double beta_ = 10.0;
  double best_error_ = 1e4;
  int left_;
};

}  // namespace mantissa
