#include "cli/torch/running.h"

#include <ATen/Parallel.h>

#include "cli/signals.h"
#include "cli/sizes.h"

namespace mantissa::cli {

ModelOptions model_options(const ModelWords& words) {
  at::set_num_threads(words.threads);
  ModelOptions options;
  options.compute_dtype = words.compute_dtype == "bfloat16"  ? at::kBFloat16
                          : words.compute_dtype == "float16" ? at::kHalf
                                                             : at::kFloat;
  if (!words.max_memory.empty()) {
    options.max_memory = parse_size("--max-memory", words.max_memory);
  }
  return options;
}

bool interrupted() { return stop_signal() != 0; }

}  // namespace mantissa::cli
