// The header of a safetensors file: refused with Error(Input), or accepted and
// then written back to a header that says the same.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include <mantissa/core/error.h>

#include "checkpoint/safetensors_header.h"

namespace {

using namespace mantissa;

void expect(bool condition) {
  if (!condition) std::abort();
}

// What was accepted obeys the rules that a reader relies on.
void check(const SafetensorsHeader& header, std::int64_t file_size) {
  std::int64_t end = 0;
  for (const HeaderEntry& tensor : header.tensors) {
    expect(tensor.begin == end && tensor.end >= tensor.begin);
    end = tensor.end;
  }
  expect(header.data_start + end == file_size);
  const std::string text = write_header(header.tensors, header.metadata);
  const std::int64_t size = static_cast<std::int64_t>(text.size()) + end;
  const SafetensorsHeader again =
      parse_header(std::as_bytes(std::span(text)), size, "written back", {});
  expect(again.tensors.size() == header.tensors.size());
  expect(again.metadata == header.metadata);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  // The last two bytes say how much data would follow the header; its length
  // is right, so that mutations reach the parser.
  if (size < 2) return 0;
  const std::int64_t tail = data[size - 1] * 256 + data[size - 2];
  const std::uint64_t length = size - 2;
  std::vector<std::byte> bytes(8 + length);
  std::memcpy(bytes.data(), &length, 8);
  if (length != 0) std::memcpy(bytes.data() + 8, data, length);
  const auto file_size = static_cast<std::int64_t>(bytes.size()) + tail;
  try {
    check(parse_header(bytes, file_size, "fuzz"), file_size);
  } catch (const Error& e) {
    expect(e.kind() == ErrorKind::Input);
  }
  return 0;
}
