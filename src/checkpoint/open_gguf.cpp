#include "checkpoint/open_gguf.h"

#include <mantissa/core/error.h>

namespace mantissa {

std::unique_ptr<CheckpointSource> open_gguf_model(
    const std::filesystem::path& path,
    const OpenOptions&) {
  throw Error(ErrorKind::Usage,
              path.string() +
                  ": a GGUF file; reading GGUF is not available in this version "
                  "(safetensors is)");
}

}  // namespace mantissa
