#include <mantissa/formats/encoding.h>

#include <algorithm>
#include <cstring>

#include <mantissa/core/error.h>

namespace mantissa {
namespace {

class MemorySink final : public FieldSink {
 public:
  explicit MemorySink(std::vector<HostTensor>& fields) : fields_(fields) {}

  void write(std::size_t field,
             std::int64_t offset,
             std::span<const std::byte> bytes) override {
    if (bytes.empty()) return;  // memcpy wants a pointer even for 0 bytes
    std::memcpy(fields_[field].data() + offset, bytes.data(), bytes.size());
  }

 private:
  std::vector<HostTensor>& fields_;
};

// Calls visit(block, rows) for each matrix of the weight.
template <class Visit>
void for_each_matrix(ConstTensorView weight, const Visit& visit) {
  const MatrixShape shape = matrix_shape(weight.shape);
  const std::int64_t bytes =
      byte_count(weight.dtype, {shape.rows, shape.columns});
  for (std::int64_t i = 0; i < shape.matrices; ++i) {
    visit(RowBlock{i, 0, shape.rows},
          ConstTensorView{weight.dtype,
                          {shape.rows, shape.columns},
                          weight.data + i * bytes});
  }
}

}  // namespace

void FieldSink::write_runs(std::size_t field,
                           std::int64_t offset,
                           std::int64_t run_bytes,
                           std::int64_t stride,
                           std::span<const std::byte> bytes) {
  const auto run = static_cast<std::size_t>(run_bytes);
  for (std::size_t done = 0; done < bytes.size(); done += run) {
    write(field, offset, bytes.subspan(done, run));
    offset += stride;
  }
}

void Encoder::observe(const RowBlock&, ConstTensorView) {}

std::string Encoding::check_values(std::span<const ConstTensorView>) const {
  return {};
}

std::vector<ConstTensorView> EncodedTensor::views() const {
  std::vector<ConstTensorView> views;
  for (const HostTensor& field : fields) views.push_back(field.view());
  return views;
}

EncodedTensor encode(std::shared_ptr<const Encoding> encoding,
                     ConstTensorView weight) {
  if (weight.shape != encoding->shape() || weight.dtype != encoding->dtype()) {
    throw Error(ErrorKind::Usage,
                "encode: weight: expected " + to_string(encoding->shape()) +
                    " " + std::string(name(encoding->dtype())) + ", got " +
                    to_string(weight.shape) + " " +
                    std::string(name(weight.dtype)));
  }
  EncodedTensor out{encoding, {}};
  for (const FieldLayout& field : encoding->fields()) {
    out.fields.emplace_back(field.dtype, field.shape);
  }
  MemorySink sink(out.fields);
  const std::unique_ptr<Encoder> encoder = encoding->make_encoder();
  while (encoder->wants_pass()) {
    for_each_matrix(weight, [&](const RowBlock& block, ConstTensorView rows) {
      encoder->observe(block, rows);
    });
    encoder->end_pass();
  }
  for_each_matrix(weight, [&](const RowBlock& block, ConstTensorView rows) {
    encoder->encode(block, rows, sink);
  });
  return out;
}

std::int64_t stored_bytes(const Encoding& encoding) {
  std::int64_t bytes = 0;
  for (const FieldLayout& field : encoding.fields()) {
    bytes += byte_count(field.dtype, field.shape);
  }
  return bytes;
}

MatrixShape matrix_shape(const Shape& shape) {
  if (shape.empty()) return {1, 1, 1};
  if (shape.size() == 1) return {1, 1, shape[0]};
  const std::int64_t rows = shape[shape.size() - 2];
  std::int64_t matrices = 1;
  for (std::size_t i = 0; i + 2 < shape.size(); ++i) matrices *= shape[i];
  return {matrices, rows, shape.back()};
}

}  // namespace mantissa
