// stream_checkpoint FILE: encodes a weight block by block, as it would come
// from a file too large for memory, and checks what was written. Needs no
// libtorch.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <vector>

#include <mantissa/core.h>
#include <mantissa/formats/int8_tensor.h>

namespace {

constexpr std::int64_t kRows = 512;
constexpr std::int64_t kColumns = 256;

// Fields one behind the other in a file of their final size.
class FileSink final : public mantissa::FieldSink {
 public:
  FileSink(const char* path, const mantissa::Encoding& encoding)
      : file_(path, std::ios::binary | std::ios::trunc) {
    for (const mantissa::FieldLayout& field : encoding.fields()) {
      begins_.push_back(bytes_);
      bytes_ += mantissa::byte_count(field.dtype, field.shape);
    }
  }
  void write(std::size_t field,
             std::int64_t offset,
             std::span<const std::byte> bytes) override {
    file_.seekp(begins_[field] + offset);
    file_.write(reinterpret_cast<const char*>(bytes.data()),
                static_cast<std::streamsize>(bytes.size()));
  }
  bool close() {
    file_.close();
    return !file_.fail();
  }

 private:
  std::ofstream file_;
  std::vector<std::int64_t> begins_;
  std::int64_t bytes_ = 0;
};

// Rows [row, row + rows) of the weight.
mantissa::HostTensor read_rows(std::int64_t row, std::int64_t rows) {
  mantissa::HostTensor out(mantissa::DType::Float32, {rows, kColumns});
  for (std::int64_t i = 0; i < out.numel(); ++i) {
    const auto at = static_cast<double>(row * kColumns + i);
    out.as<float>()[i] = static_cast<float>(std::sin(at * 0.01));
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const auto encoding = mantissa::make_int8_encoding(
      {kRows, kColumns}, mantissa::DType::Float32, mantissa::Int8Spec{});
  const auto encoder = encoding->make_encoder();
  FileSink sink(argv[1], *encoding);
  constexpr std::int64_t kBlock = 64;
  for (std::int64_t row = 0; row < kRows; row += kBlock) {
    const mantissa::HostTensor rows = read_rows(row, kBlock);
    encoder->encode({0, row, kBlock}, rows.view(), sink);
  }
  if (!sink.close()) return 1;

  // The same as encoding it at once.
  const mantissa::HostTensor weight = read_rows(0, kRows);
  const auto whole = mantissa::encode(encoding, weight.view());
  std::ifstream file(argv[1], std::ios::binary);
  for (const mantissa::HostTensor& field : whole.fields) {
    std::vector<char> bytes(static_cast<std::size_t>(field.nbytes()));
    file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!file || std::memcmp(bytes.data(), field.data(), bytes.size()) != 0) {
      return 1;
    }
  }
  std::printf("%lld bytes of int8, block by block\n",
              static_cast<long long>(mantissa::stored_bytes(*encoding)));
  return 0;
}
