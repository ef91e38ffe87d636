#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mantissa::support {

/// Little-endian bytes of a number.
template <class T>
std::string raw(T value) {
  std::string bytes(sizeof(T), '\0');
  for (char& byte : bytes) {
    byte = static_cast<char>(value & 0xff);
    value = static_cast<T>(value >> 4 >> 4);
  }
  return bytes;
}

/// A GGUF string: length and bytes.
std::string raw_string(std::string_view text);

/// A tensor's entry in the head: name, extents innermost first, type, offset 0.
std::string raw_tensor(std::string_view name,
                       const std::vector<std::uint64_t>& ne,
                       std::uint32_t type);

/// Bytes of a GGUF file, right or wrong. What is not set is what a writer would
/// put there; setters replace a key of the same name.
class RawGguf {
 public:
  /// A dense Llama that opens: 1 layer, hidden 64, 4 heads of 16, 2 kv heads,
  /// intermediate 96, 8 tokens. Weights are F32, element i of tensor t is
  /// t + i / 1024.
  static RawGguf tiny_llama();

  /// The same as a Mixtral: 3 experts, 2 for a token.
  static RawGguf tiny_mixtral();
  /// The same as a Qwen 3 with experts, whose dense width is another.
  static RawGguf tiny_qwen3moe();

  RawGguf& set_u32(std::string_view key, std::uint32_t value);
  RawGguf& set_f32(std::string_view key, float value);
  RawGguf& set_bool(std::string_view key, std::uint8_t value);
  RawGguf& set_string(std::string_view key, std::string_view value);
  RawGguf& set_strings(std::string_view key,
                       const std::vector<std::string>& values);
  RawGguf& set_i32s(std::string_view key,
                    const std::vector<std::int32_t>& values);
  RawGguf& set_f32s(std::string_view key, const std::vector<float>& values);
  /// `value` as it is: type number and bytes.
  RawGguf& set_raw(std::string_view key, std::string_view value);
  RawGguf& remove_key(std::string_view key);

  /// `ne` innermost first, as in the file; replaces a tensor of the same name.
  RawGguf& set_tensor(std::string_view name,
                      std::uint32_t type,
                      std::vector<std::uint64_t> ne,
                      std::string data);
  RawGguf& set_f32_tensor(std::string_view name,
                          std::vector<std::uint64_t> ne,
                          const std::vector<float>& values);
  RawGguf& remove_tensor(std::string_view name);
  /// Puts another architecture in place of the one that is there, in front of
  /// its keys too.
  RawGguf& set_architecture(std::string_view name);
  /// Each expert's matrix a tensor of its own, as older files have them.
  RawGguf& split_experts();

  // Lies of the head; empty: the truth.
  std::string magic = "GGUF";
  std::string version = raw<std::uint32_t>(3);
  std::optional<std::uint64_t> tensor_count;
  std::optional<std::uint64_t> key_count;
  std::uint64_t alignment = 32;   ///< what the writer pads to
  std::string more_keys;          ///< raw bytes after the pairs, uncounted
  std::string more_tensors;       ///< raw bytes after the tensors, uncounted
  std::int64_t offset_error = 0;  ///< added to the second tensor's offset

  std::string bytes() const;

 private:
  struct Tensor {
    std::string name;
    std::uint32_t type;
    std::vector<std::uint64_t> ne;
    std::string data;
  };
  std::vector<std::pair<std::string, std::string>> keys_;
  std::vector<Tensor> tensors_;
};

}  // namespace mantissa::support
