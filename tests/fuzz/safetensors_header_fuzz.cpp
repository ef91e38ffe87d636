#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <mantissa/core/error.h>

#include "checkpoint/safetensors_header.h"
#include "checkpoint/safetensors_source.h"
#include "fuzz/memory_file.h"
#include "fuzz/target.h"
#include "fuzz/use_source.h"
#include "support/raw_safetensors.h"

namespace mantissa::fuzz {
namespace {

SafetensorsHeader parse(std::string_view bytes, std::int64_t file_size) {
  return parse_header(std::as_bytes(std::span(bytes)), file_size, "fuzz");
}

bool same(const HeaderEntry& a, const HeaderEntry& b) {
  return a.name == b.name && a.dtype == b.dtype && a.shape == b.shape &&
         a.begin == b.begin && a.end == b.end;
}

// What was accepted obeys the rules that a reader relies on, and says the same
// when it is written again.
void check_header(const SafetensorsHeader& header, std::int64_t file_size) {
  std::int64_t end = 0;
  for (const HeaderEntry& tensor : header.tensors) {
    expect(tensor.begin == end && tensor.end >= tensor.begin,
           "tensors lie one after the other");
    end = tensor.end;
  }
  expect(header.data_start + end == file_size, "data fills the file");
  const std::string text = write_header(header.tensors, header.metadata);
  const SafetensorsHeader again =
      parse(text, static_cast<std::int64_t>(text.size()) + end);
  expect(again.metadata == header.metadata, "metadata is written as read");
  expect(again.tensors.size() == header.tensors.size(), "no tensor is lost");
  for (std::size_t i = 0; i < again.tensors.size(); ++i) {
    expect(same(again.tensors[i], header.tensors[i]),
           "tensors are written as read");
  }
}

Outcome read(std::string_view bytes, std::size_t zeros) {
  const auto size = static_cast<std::int64_t>(bytes.size() + zeros);
  try {
    check_header(parse(bytes, size), size);
    const MemoryFile file(bytes, zeros);
    use_source(SafetensorsSource(file.path(), {}));
  } catch (const Error& error) {
    expect(error.kind() == ErrorKind::Input, "a malformed file is Input");
    return Outcome::Refused;
  }
  return Outcome::Accepted;
}

}  // namespace

Outcome safetensors_header(std::string_view input) {
  const Outcome whole = read(input, 0);
  if (input.size() < 2) return whole;
  // Mutations reach the parser only behind a length that is right.
  const auto byte = [&](std::size_t from_end) {
    return static_cast<std::size_t>(
        static_cast<unsigned char>(input[input.size() - from_end]));
  };
  const std::size_t zeros = byte(1) * 256 + byte(2);
  input.remove_suffix(2);
  const Outcome header = read(support::raw_safetensors(input, 0), zeros);
  return whole == Outcome::Accepted ? whole : header;
}

}  // namespace mantissa::fuzz
