#pragma once

#include <cstddef>
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

/// What one iteration on one group found before it moved the zero.
struct HqqStep {
  /// Sum of |w - dequantized| in float64: eight running sums over the elements
  /// i = lane (mod 8), added up in order of the lane.
  double error = 0.0;
  bool shrinks = false;  ///< beta counted: some |w - dequantized| is large
};

/// One iteration on one group: updates its zero. `work` is resized.
HqqStep hqq_step(std::span<const float> w,
                 float max_code,
                 float inverse_beta,
                 HqqSumOrder order,
                 HqqGroup& group,
                 std::vector<float>& work);

/// The step size: beta grows with each iteration.
class HqqBeta {
 public:
  float inverse() const { return static_cast<float>(1.0 / beta_); }
  void grow() { beta_ *= 1.01; }

 private:
  double beta_ = 10.0;
};

/// Iterations 0 .. errors.size() - 1 on one group, whose errors are added to
/// `errors`. Returns how many of them moved the zero: those behind leave all as
/// it is, and are not computed. `work` is resized.
std::size_t hqq_iterate(std::span<const float> w,
                        float max_code,
                        HqqSumOrder order,
                        HqqGroup& group,
                        std::span<double> errors,
                        std::vector<float>& work);

/// When all groups stop.
class HqqSchedule {
 public:
  explicit HqqSchedule(int iterations = kIterations) : left_(iterations) {}

  static constexpr int kIterations = 20;

  bool running() const { return left_ > 0; }
  /// Closes an iteration: `error` is the sum over all elements. Stops when the
  /// mean error does not fall; the zeros of that iteration stand.
  void finish_iteration(double error, std::int64_t elements);

 private:
  double best_error_ = 1e4;
  int left_;
};

}  // namespace mantissa
