#include "checkpoint/pipeline.h"

#include <filesystem>
#include <mutex>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/core/worker_pool.h>
#include <mantissa/primitives/convert.h>

#include "checkpoint/carry_over.h"
#include "checkpoint/journal.h"
#include "checkpoint/loading_reader.h"

namespace mantissa {
namespace {

// A block of this many source bytes is in memory at a time in each worker.
constexpr std::int64_t kBlockBytes = std::int64_t{1} << 20;

// Puts the fields of one planned tensor at their offsets.
class ShardSink final : public FieldSink {
 public:
  ShardSink(OutputDirectory& out, const std::vector<FileTensor>& files)
      : out_(out), files_(files) {}

  void write(std::size_t field,
             std::int64_t offset,
             std::span<const std::byte> bytes) override {
    const FileTensor& file = files_[field];
    out_.write(file.shard, file.offset + offset, bytes);
  }

 private:
  OutputDirectory& out_;
  const std::vector<FileTensor>& files_;
};

// Rows of one tensor, block by block, in a buffer that is used again.
class BlockReader {
 public:
  BlockReader(const CheckpointSource& source, const LoadingTensor& tensor)
      : reader_(source, tensor), dtype_(tensor.dtype) {}

  std::vector<RowBlock> blocks(std::int64_t row_multiple) const {
    return row_blocks(reader_.shape(),
                      reader_.row_bytes(RowForm::Delivered),
                      row_multiple,
                      kBlockBytes);
  }

  ConstTensorView delivered(const RowBlock& block) {
    return read(
        block, RowForm::Delivered, rows_, dtype_, reader_.shape().columns);
  }

  ConstTensorView stored(const RowBlock& block) {
    return read(block,
                RowForm::Stored,
                stored_,
                DType::UInt8,
                reader_.row_bytes(RowForm::Stored));
  }

  /// Index in the whole tensor of an element of a block.
  std::int64_t flat_index(const RowBlock& block, std::int64_t element) const {
    const MatrixShape& shape = reader_.shape();
    return (block.matrix * shape.rows + block.row) * shape.columns + element;
  }

 private:
  ConstTensorView read(const RowBlock& block,
                       RowForm form,
                       std::vector<std::byte>& buffer,
                       DType dtype,
                       std::int64_t columns) {
    buffer.resize(
        static_cast<std::size_t>(block.rows * reader_.row_bytes(form)));
    reader_.read(block, form, buffer);
    return {dtype, {block.rows, columns}, buffer.data()};
  }

  LoadingReader reader_;
  DType dtype_;
  std::vector<std::byte> rows_;
  std::vector<std::byte> stored_;
};

void require_finite(const PlannedTensor& planned,
                    const BlockReader& reader,
                    const RowBlock& block,
                    ConstTensorView rows) {
  const std::optional<std::int64_t> bad = find_nonfinite(rows);
  if (!bad) return;
  throw Error(ErrorKind::Input,
              fmt::format("{}: NaN or Inf at index {}; --allow-nonfinite keeps "
                          "such tensors unquantized",
                          planned.tensor.name,
                          reader.flat_index(block, *bad)));
}

void quantize_tensor(const PlannedTensor& planned,
                     const CheckpointSource& source,
                     FieldSink& sink) {
  BlockReader reader(source, planned.tensor);
  const std::unique_ptr<Encoder> encoder = planned.encoding->make_encoder();
  const std::vector<RowBlock> blocks = reader.blocks(encoder->row_multiple());
  while (encoder->wants_pass()) {
    for (const RowBlock& block : blocks) {
      const ConstTensorView rows = reader.delivered(block);
      require_finite(planned, reader, block, rows);
      encoder->observe(block, rows);
    }
    encoder->end_pass();
  }
  for (const RowBlock& block : blocks) {
    const ConstTensorView rows = reader.delivered(block);
    require_finite(planned, reader, block, rows);
    encoder->encode(block, rows, sink);
  }
}

void carry_tensor(const PlannedTensor& planned,
                  const CheckpointSource& source,
                  FieldSink& sink) {
  BlockReader reader(source, planned.tensor);
  const std::unique_ptr<Encoder> encoder = make_carry_encoder(
      source.tensors()[planned.tensor.pieces.front().source], planned.encoding);
  for (const RowBlock& block : reader.blocks(encoder->row_multiple())) {
    require_finite(planned, reader, block, reader.delivered(block));
    encoder->encode(block, reader.stored(block), sink);
  }
}

// Piece i of a kept tensor becomes output i.
void copy_tensor(const PlannedTensor& planned,
                 const CheckpointSource& source,
                 FieldSink& sink) {
  for (std::size_t i = 0; i < planned.outputs.size(); ++i) {
    const std::size_t index = planned.tensor.pieces[i].source;
    const SourceTensor& stored = source.tensors()[index];
    if (numel(stored.shape) == 0) continue;
    const LoadingTensor whole{stored.name,
                              stored.dtype,
                              stored.shape,
                              TensorRole::Unknown,
                              {{index}}};
    BlockReader reader(source, whole);
    std::int64_t offset = 0;
    for (const RowBlock& block : reader.blocks(1)) {
      const ConstTensorView rows = reader.delivered(block);
      sink.write(i, offset, rows.bytes());
      offset += rows.nbytes();
    }
  }
}

void write_tensor(const PlannedTensor& planned,
                  const CheckpointSource& source,
                  OutputDirectory& out) {
  ShardSink sink(out, planned.outputs);
  switch (planned.action) {
    case Action::Quantize:
      return quantize_tensor(planned, source, sink);
    case Action::Carry:
      return carry_tensor(planned, source, sink);
    case Action::Tie:
      return;
    default:
      return copy_tensor(planned, source, sink);
  }
}

}  // namespace

void run_plan(const Plan& plan,
              const CheckpointSource& source,
              const ConfigPtr& recorded,
              const RunOptions& options) {
  require_runnable(plan);
  OutputDirectory out(options.out, options.existing);
  {
    Journal journal(out.path(Journal::kFile),
                    source.fingerprint(),
                    recorded == nullptr ? "" : recorded->to_json());
    for (const Shard& shard : plan.shards) out.create_shard(shard);
    std::mutex mutex;
    std::int64_t done = 0;
    WorkerPool(options.workers)
        .run(static_cast<std::int64_t>(plan.tensors.size()),
             [&](std::int64_t index, int) {
               const PlannedTensor& planned =
                   plan.tensors[static_cast<std::size_t>(index)];
               write_tensor(planned, source, out);
               journal.finished(planned.tensor.name);
               const std::lock_guard lock(mutex);
               ++done;
               if (options.progress) options.progress(planned, done);
             });
  }
  for (const TextFile& text : plan.texts) out.write_text(text.name, text.text);
  for (const Companion& companion : plan.companions) out.copy(companion);
  std::filesystem::remove(out.path(Journal::kFile));
  out.publish();
}

std::map<std::string, std::string> find_nonfinite_tensors(
    const Plan& plan, const CheckpointSource& source, int workers) {
  std::map<std::string, std::string> found;
  std::mutex mutex;
  WorkerPool(workers).run(static_cast<std::int64_t>(plan.tensors.size()),
                          [&](std::int64_t index, int) {
                            const PlannedTensor& planned =
                                plan.tensors[static_cast<std::size_t>(index)];
                            if (!is_encoded(planned)) return;
                            BlockReader reader(source, planned.tensor);
                            for (const RowBlock& block : reader.blocks(1)) {
                              const std::optional<std::int64_t> bad =
                                  find_nonfinite(reader.delivered(block));
                              if (!bad) continue;
                              const std::lock_guard lock(mutex);
                              found[planned.tensor.name] =
                                  fmt::format("NaN or Inf at index {}",
                                              reader.flat_index(block, *bad));
                              return;
                            }
                          });
  return found;
}

}  // namespace mantissa
