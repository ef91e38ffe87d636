// gguf_probe blocks IN OUT: decodes raw ggml blocks. IN holds U8 tensors named
// after their type; OUT the values as TYPE.float32, .bfloat16 and .float16.
// gguf_probe texts GGUF OUT: writes config.json and the companions.
// gguf_probe xxh3 IDS: IDS holds parts of a 32-bit count and as many 32-bit
// ids; prints count and XXH3 of each part's ids.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <xxhash.h>

#include <mantissa/checkpoint/source.h>

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

void write_texts(const CheckpointSource& source,
                 const std::filesystem::path& root) {
  std::filesystem::create_directories(root);
  write_text(root / "config.json", source.config_json());
  for (const Companion& companion : source.companions()) {
    write_text(root / companion.name, companion.text);
  }
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

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  if (verb == "blocks" && argc == 4) return decode_blocks(argv[2], argv[3]);
  if (verb == "texts" && argc == 4) return make_texts(argv[2], argv[3]);
  if (verb == "xxh3" && argc == 3) return print_hashes(argv[2]);
  std::fputs("usage: gguf_probe blocks|texts|xxh3 ...\n", stderr);
  return 2;
}
