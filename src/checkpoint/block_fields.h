#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <mantissa/formats/encoding.h>

namespace mantissa {

/// Takes what an encoder writes for one block of rows and holds it as the
/// fields of an encoded tensor of its own, in buffers that are used again.
class BlockFields final : public FieldSink {
 public:
  /// The encoding outlives the object.
  explicit BlockFields(const Encoding& whole);

  /// The next block. A field that has the same place as in the block before
  /// (a scale that all rows share) keeps its bytes.
  void begin(const RowBlock& block);
  /// Throws Error(Unexpected) for bytes outside the block.
  void write(std::size_t field,
             std::int64_t offset,
             std::span<const std::byte> bytes) override;

  std::size_t size() const { return fields_.size(); }
  /// Where the field's bytes stand in the whole tensor.
  const FieldRuns& runs(std::size_t field) const { return rows_.fields[field]; }
  /// Bytes of the field, run after run.
  std::span<std::byte> bytes(std::size_t field);
  /// True when the encoder wrote the field for this block. Throws
  /// Error(Unexpected) when it wrote a part of it.
  bool written(std::size_t field) const;
  /// True when bytes() are those of this block: written, or kept.
  bool valid(std::size_t field) const { return fields_[field].valid; }
  void set_valid(std::size_t field) { fields_[field].valid = true; }

  /// The fields of the block, all of them valid.
  std::vector<ConstTensorView> views() const;
  /// The block decoded: [rows, K] in the dtype of the encoding.
  HostTensor decode() const { return rows_.encoding->decode(views()); }

 private:
  struct Field {
    std::vector<std::byte> bytes;
    std::int64_t written = 0;
    bool valid = false;
  };

  const Encoding& whole_;
  EncodedRows rows_;
  std::vector<Field> fields_;
};

}  // namespace mantissa
