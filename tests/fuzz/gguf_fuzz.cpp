// A GGUF file: refused with an error that names it, or read as a checkpoint
// whose tensors have the bytes they claim.

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include <mantissa/core/error.h>
#include <mantissa/core/tensor_view.h>

#include "checkpoint/gguf_file.h"
#include "checkpoint/open_gguf.h"

namespace {

using namespace mantissa;

void read_first_rows(const CheckpointSource& source) {
  const auto& tensors = source.tensors();
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const Shape& shape = tensors[i].shape;
    if (numel(shape) == 0) continue;
    Shape row = shape;
    if (!row.empty()) row = {row.back()};
    std::vector<std::byte> out(
        static_cast<std::size_t>(byte_count(tensors[i].dtype, row)));
    source.read_rows(i, 0, 1, out);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const int descriptor = memfd_create("fuzz.gguf", 0);
  if (descriptor < 0) std::abort();
  if (write(descriptor, data, size) != static_cast<ssize_t>(size)) {
    std::abort();
  }
  const std::string path = "/proc/self/fd/" + std::to_string(descriptor);
  try {
    const GgufFile file(path);
    for (const GgufTensor& tensor : file.tensors()) {
      if (tensor.offset + tensor.bytes > file.file().size()) std::abort();
    }
    read_first_rows(*open_gguf_model(path, {}));
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::Input && e.kind() != ErrorKind::Usage) {
      std::abort();
    }
  }
  close(descriptor);
  return 0;
}
