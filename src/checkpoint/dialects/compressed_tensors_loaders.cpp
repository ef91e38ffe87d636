#include <fmt/format.h>

#include "checkpoint/dialects/compressed_tensors.h"
#include "formats/compressed_tensor.h"

namespace mantissa {
namespace {

// Dense words of these widths are the same in every version.
bool same_in_every_version(int bits) { return 32 % bits == 0; }

std::string packed_loads(const CompressedSpec& spec) {
  const std::string version = same_in_every_version(spec.num_bits)
                                  ? "0.15"
                                  : "0.18 (older ones pad the words)";
  if (!spec.symmetric) {
    return fmt::format(
        "Transformers with dequantize=True (compressed-tensors >= {}; the "
        "default load fails in 0.18 to 0.20)",
        version);
  }
  return fmt::format(
      "Transformers, by default and with dequantize=True (compressed-tensors "
      ">= {})",
      version);
}

// By vLLM's source; its versions differ.
std::string packed_vllm(const CompressedSpec& spec) {
  const bool common = spec.num_bits == 4 || spec.num_bits == 8;
  if (common) return "vLLM";
  if (!spec.symmetric || spec.num_bits == 1) {
    return "not vLLM, which takes zero points and single bits of 4 and 8 bits "
           "only";
  }
  return "vLLM versions that take 2 to 8 bits; others take 4 and 8 only";
}

// "pack-quantized int4 group 32 asymmetric, int8 activations".
std::string label(const CompressedSpec& spec) {
  std::string out = fmt::format("{} {}{} {}",
                                name(spec.format),
                                spec.floating ? "float" : "int",
                                spec.num_bits,
                                name(spec.strategy));
  if (spec.strategy == CompressedStrategy::Group) {
    out += fmt::format(" {}", spec.group_size);
  }
  if (!spec.symmetric) out += " asymmetric";
  if (!spec.input_activations.empty()) out += " with quantized activations";
  return out;
}

LoaderNote note_of(const CompressedSpec& spec) {
  const char* kBoth =
      "Transformers, by default (activations are fake-quantized) and with "
      "dequantize=True (plain weights), compressed-tensors >= 0.15";
  switch (spec.format) {
    case CompressedFormat::PackQuantized:
      return {false,
              spec.input_activations.empty() || !spec.symmetric
                  ? packed_loads(spec)
                  : kBoth,
              "CPU and GPU, decompressed; " + packed_vllm(spec)};
    case CompressedFormat::NaiveQuantized:
      return {false,
              "Transformers, by default and with dequantize=True, "
              "compressed-tensors >= 0.15",
              "CPU and GPU, decompressed"};
    default:
      return {false, kBoth, "CPU and GPU, decompressed; vLLM"};
  }
}

}  // namespace

LoaderNote compressed_loader_note(const Encoding& encoding) {
  const auto* known = dynamic_cast<const CompressedEncoding*>(&encoding);
  if (known == nullptr) return {true, "Mantissa alone", "Mantissa alone"};
  LoaderNote note = note_of(known->spec());
  note.format = label(known->spec());
  return note;
}

}  // namespace mantissa
