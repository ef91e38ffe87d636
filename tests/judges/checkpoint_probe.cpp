// checkpoint_probe resave IN OUT: opens the checkpoint IN, loads every tensor
// (quantized ones through their format) and writes the file OUT in canonical
// order. checkpoint_probe formats: the formats of this build, one a line.

#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <mantissa/checkpoint/source.h>
#include <mantissa/core/error.h>
#include <mantissa/formats/registry.h>

#include "checkpoint/dialects/torchao.h"
#include "checkpoint/safetensors_header.h"

namespace {

using namespace mantissa;

struct Out {
  std::vector<HeaderEntry> entries;
  std::map<std::string, HostTensor> tensors;

  void add(const std::string& name, const HostTensor& tensor) {
    entries.push_back(
        {.name = name, .dtype = tensor.dtype(), .shape = tensor.shape()});
    tensors[name] = tensor;
  }
};

void write(const std::string& path,
           Out& out,
           const std::map<std::string, std::string>& metadata) {
  set_canonical_layout(out.entries);
  std::ofstream file(path, std::ios::binary);
  file << write_header(out.entries, metadata);
  for (const HeaderEntry& entry : out.entries) {
    const HostTensor& tensor = out.tensors.at(entry.name);
    file.write(reinterpret_cast<const char*>(tensor.data()), tensor.nbytes());
  }
  if (!file) throw std::runtime_error("cannot write " + path);
}

void resave_plain(const CheckpointSource& source, const std::string& path) {
  Out out;
  for (std::size_t i = 0; i < source.tensors().size(); ++i) {
    const SourceTensor& stored = source.tensors()[i];
    HostTensor tensor(stored.dtype, stored.shape);
    const MatrixShape shape = matrix_shape(stored.shape);
    source.read_rows(i,
                     0,
                     stored.stored_bytes == 0 ? 0 : shape.matrices * shape.rows,
                     tensor.mutable_view().bytes());
    out.add(stored.name, tensor);
  }
  write(path, out, source.metadata());
}

void resave_torchao(const CheckpointSource& source, const std::string& path) {
  const TorchaoCheckpoint checkpoint(source);
  checkpoint.require_sound();
  if (!checkpoint.leftovers().empty() || !checkpoint.missing().empty()) {
    throw std::runtime_error("leftover or missing tensors");
  }
  Out out;
  TorchaoMetadata metadata;
  for (const DialectTensor& tensor : checkpoint.tensors()) {
    metadata.add(tensor.name, tensor.encoding.get());
    if (tensor.plain()) {
      out.add(tensor.name, checkpoint.load_dense(tensor.name));
      continue;
    }
    const EncodedTensor loaded = checkpoint.load(tensor.name);
    const auto fields = loaded.encoding->fields();
    for (std::size_t i = 0; i < fields.size(); ++i) {
      out.add(torchao_field_name(tensor.name, fields[i].name),
              loaded.fields[i]);
    }
  }
  write(path, out, metadata.finish());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "formats") == 0) {
    for (const mantissa::Format& format : mantissa::formats()) {
      std::printf("%s\n", std::string(format.name).c_str());
    }
    return 0;
  }
  if (argc != 4 || std::strcmp(argv[1], "resave") != 0) return 2;
  try {
    const auto source = mantissa::open_checkpoint(argv[2]);
    if (mantissa::is_torchao_metadata(source->metadata())) {
      resave_torchao(*source, argv[3]);
    } else {
      resave_plain(*source, argv[3]);
    }
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
