#include "torch/models/companion_files.h"

#include <mantissa/core/error.h>

#include "checkpoint/input_file.h"

namespace mantissa {

std::optional<std::string> companion_text(const CheckpointSource& source,
                                          std::string_view name) {
  constexpr std::int64_t kLimit = 16'000'000;
  for (const Companion& file : source.companions()) {
    if (file.name != name) continue;
    return file.path.empty() ? file.text : read_text(file.path, kLimit);
  }
  return std::nullopt;
}

const std::string& config_text(const CheckpointSource& source,
                               const std::string& label) {
  const std::string& text = source.config_json();
  if (!text.empty()) return text;
  throw Error(ErrorKind::Usage,
              label + ": no config.json beside the weights; a model is built "
                      "from it: copy the one that was saved with them");
}

}  // namespace mantissa
