#include "support/exchange.h"

#include <cstdint>
#include <fstream>
#include <stdexcept>

#include <nlohmann/json.hpp>

namespace mantissa::support {

using Json = nlohmann::ordered_json;

std::map<std::string, HostTensor> load_tensors(
    const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::uint64_t size = 0;
  file.read(reinterpret_cast<char*>(&size), sizeof(size));
  std::string header(size, '\0');
  file.read(header.data(), static_cast<std::streamsize>(size));
  if (!file) throw std::runtime_error("cannot read " + path.string());
  const Json entries = Json::parse(header);
  std::map<std::string, HostTensor> tensors;
  for (const auto& [name, entry] : entries.items()) {
    if (name == "__metadata__") continue;
    HostTensor tensor(
        dtype_from_safetensors(entry["dtype"].get<std::string>()).value(),
        entry["shape"].get<Shape>());
    const auto begin = entry["data_offsets"][0].get<std::int64_t>();
    file.seekg(static_cast<std::streamoff>(8 + size) + begin);
    file.read(reinterpret_cast<char*>(tensor.data()), tensor.nbytes());
    if (!file) throw std::runtime_error("short file: " + path.string());
    tensors.emplace(name, tensor);
  }
  return tensors;
}

void save_tensors(const std::filesystem::path& path,
                  const std::map<std::string, HostTensor>& tensors) {
  Json header = Json::object();
  std::int64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    header[name] = {{"dtype", safetensors_name(tensor.dtype())},
                    {"shape", tensor.shape()},
                    {"data_offsets", {offset, offset + tensor.nbytes()}}};
    offset += tensor.nbytes();
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t size = text.size();
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(&size), sizeof(size));
  file << text;
  for (const auto& [name, tensor] : tensors) {
    file.write(reinterpret_cast<const char*>(tensor.data()), tensor.nbytes());
  }
  if (!file) throw std::runtime_error("cannot write " + path.string());
}

}  // namespace mantissa::support
