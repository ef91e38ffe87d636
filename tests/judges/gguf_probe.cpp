// gguf_probe blocks IN OUT: decodes raw ggml blocks. IN holds U8 tensors named
// after their type; OUT the values as TYPE.float32, .bfloat16 and .float16.
// gguf_probe directory GGUF OUT DTYPE: writes what the reader presents as a
// Hugging Face directory; DTYPE "default" leaves the choice to the reader.
// gguf_probe texts GGUF OUT: the same without the weights.
// gguf_probe xxh3 IDS: IDS holds parts of a 32-bit count and as many 32-bit
// ids; prints count and XXH3 of each part's ids.
// gguf_probe refusal GGUF: prints the kind and text of the error, if any.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <xxhash.h>

#include <mantissa/checkpoint/source.h>
#include <mantissa/core/error.h>

#include "checkpoint/ggml_blocks.h"
#include "support/exchange.h"

namespace {

using namespace mantissa;
using Tensors = std::map<std::string, HostTensor>;

int decode_blocks(const char* in, const char* out) {
  Tensors decoded;
  for (const auto& [type_name, raw] : support::load_tensors(in)) {
    for (const GgmlTypeInfo& type : ggml_types()) {
      if (type.name != type_name) continue;
      const std::int64_t blocks = raw.nbytes() / type.block_bytes;
      for (const DType dtype :
           {DType::Float32, DType::BFloat16, DType::Float16}) {
        HostTensor values(dtype, {blocks * type.block_size});
        convert_blocks(type, raw.data(), blocks, dtype, values.data());
        decoded.emplace(fmt::format("{}.{}", type_name, name(dtype)), values);
      }
    }
  }
  support::save_tensors(out, decoded);
  return 0;
}

void write_text(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

HostTensor read_tensor(const CheckpointSource& source, std::size_t index) {
  const SourceTensor& info = source.tensors()[index];
  HostTensor tensor(info.dtype, info.shape);
  const std::int64_t columns = info.shape.back();
  const std::int64_t rows = tensor.numel() / columns;
  const std::int64_t row_bytes = tensor.nbytes() / rows;
  // Odd blocks, so that row ranges inside a head are read too.
  constexpr std::int64_t kStep = 37;
  for (std::int64_t row = 0; row < rows; row += kStep) {
    const std::int64_t count = std::min(kStep, rows - row);
    source.read_rows(
        index, row, count,
        {tensor.data() + row * row_bytes,
         static_cast<std::size_t>(count * row_bytes)});
  }
  return tensor;
}

void write_texts(const CheckpointSource& source,
                 const std::filesystem::path& root) {
  std::filesystem::create_directories(root);
  write_text(root / "config.json", source.config_json());
  for (const Companion& companion : source.companions()) {
    write_text(root / companion.name, companion.text);
  }
}

int make_directory(const char* gguf, const char* out, const std::string& dtype) {
  OpenOptions options;
  if (dtype != "default") options.dtype = dtype_from_name(dtype).value();
  const auto source = open_checkpoint(gguf, options);
  const std::filesystem::path root = out;
  write_texts(*source, root);
  Tensors tensors;
  for (std::size_t i = 0; i < source->tensors().size(); ++i) {
    tensors.emplace(source->tensors()[i].name, read_tensor(*source, i));
  }
  support::save_tensors(root / "model.safetensors", tensors);
  return 0;
}

int make_texts(const char* gguf, const char* out) {
  write_texts(*open_checkpoint(gguf), out);
  return 0;
}

int print_hashes(const char* path) {
  std::ifstream file(path, std::ios::binary);
  std::uint32_t count = 0;
  while (file.read(reinterpret_cast<char*>(&count), sizeof(count))) {
    std::vector<std::uint32_t> ids(count);
    const std::size_t bytes = ids.size() * sizeof(ids[0]);
    file.read(reinterpret_cast<char*>(ids.data()),
              static_cast<std::streamsize>(bytes));
    fmt::print("{} {:016x}\n", count, XXH3_64bits(ids.data(), bytes));
  }
  return 0;
}

int print_refusal(const char* gguf) {
  try {
    open_checkpoint(gguf);
    std::puts("0 opened");
  } catch (const Error& error) {
    std::printf("%d %s\n", exit_code(error.kind()), error.what());
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  if (verb == "blocks" && argc == 4) return decode_blocks(argv[2], argv[3]);
  if (verb == "directory" && argc == 5) {
    return make_directory(argv[2], argv[3], argv[4]);
  }
  if (verb == "texts" && argc == 4) return make_texts(argv[2], argv[3]);
  if (verb == "xxh3" && argc == 3) return print_hashes(argv[2]);
  if (verb == "refusal" && argc == 3) return print_refusal(argv[2]);
  std::fputs("usage: gguf_probe blocks|directory|texts|xxh3|refusal ...\n", stderr);
  return 2;
}
