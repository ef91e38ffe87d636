#include "checkpoint/write_checkpoint.h"

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/core/version.h>

#include "checkpoint/block_reader.h"
#include "checkpoint/carried_codes.h"
#include "checkpoint/hash.h"
#include "checkpoint/input_file.h"
#include "checkpoint/manifest.h"
#include "checkpoint/output_directory.h"
#include "checkpoint/plan.h"
#include "core/quoted.h"

namespace mantissa {
namespace {

constexpr std::int64_t kStepBytes = std::int64_t{1} << 20;

// Where an encoder writes a tensor of the plan.
class FileSink final : public FieldSink {
 public:
  FileSink(OutputDirectory& out, const PlannedTensor& planned)
      : out_(out), planned_(planned) {}

  void write(std::size_t field,
             std::int64_t offset,
             std::span<const std::byte> bytes) override {
    const FileTensor& file = planned_.outputs[field];
    out_.write(file.shard, file.offset + offset, bytes);
  }

 private:
  OutputDirectory& out_;
  const PlannedTensor& planned_;
};

class CheckpointWriter {
 public:
  CheckpointWriter(const CheckpointSource& source,
                   std::span<const NewTensor> tensors,
                   const WriteRequest& request)
      : source_(source), tensors_(tensors), dialect_(request.dialect) {
    if (dialect_ == nullptr) dialect_ = dialects().front();
    find_zero_points();
    plan_.dialect = dialect_;
    plan_.companions = source.companions();
    for (const NewTensor& tensor : tensors) add(tensor);
    PlanRequest wanted;
    wanted.base = request.recorded;
    wanted.shard_bytes = request.shard_bytes;
    wanted.allow_unloadable = true;  // said in the warnings
    complete_plan(source, wanted, plan_);
    require_runnable(plan_);
  }

  WrittenCheckpoint write(const std::filesystem::path& path,
                          Existing existing) {
    check_output({}, path, existing, plan_.output_bytes);
    OutputDirectory out(path, existing);
    try {
      for (const Shard& shard : plan_.shards) out.open_shard(shard);
      for (std::size_t i = 0; i < planned_of_.size(); ++i) write(i, out);
      out.write_text(Manifest::kFile, finish(out).to_json());
      out.publish();
    } catch (...) {
      out.discard();
      throw;
    }
    WrittenCheckpoint result{{}, plan_.output_bytes, plan_.warnings};
    for (const Shard& shard : plan_.shards) result.files.push_back(shard.file);
    return result;
  }

 private:
  // Formats whose parameters are equal become one scheme; it has zero points
  // when one of its tensors does.
  void find_zero_points() {
    for (const NewTensor& tensor : tensors_) {
      if (tensor.stored.plain()) continue;
      bool& any = zero_points_[grid_key(tensor.stored)];
      any = any || has_zero_points(source_, tensor.stored);
    }
  }

  void add(const NewTensor& tensor) {
    PlannedTensor planned;
    const SourceTensor& first = source_.tensors()[tensor.stored.parts.front()];
    planned.tensor = {tensor.stored.name,
                      first.dtype,
                      first.shape,
                      tensor.role,
                      {{tensor.stored.parts.front()}}};
    planned.action = Action::Keep;
    if (!tensor.stored.plain()) {
      planned.action = Action::Quantize;
      planned.encoding = stored_form(tensor.stored);
      planned.tensor.dtype = planned.encoding->dtype();
      planned.tensor.shape = planned.encoding->shape();
    }
    planned_of_.push_back(plan_.tensors.size());
    plan_.tensors.push_back(planned);
    planned.action = Action::Tie;
    planned.encoding = nullptr;
    for (const std::string& name : tensor.tied) {
      planned.tensor.name = name;
      plan_.tensors.push_back(planned);
    }
  }

  // The tensor's own encoding, or one of the dialect that its codes fill.
  std::shared_ptr<const Encoding> stored_form(const DialectTensor& tensor) {
    const WeightChoice own =
        dialect_->stored_form({tensor.encoding, {}, {}, {}});
    if (own.encoding == tensor.encoding) return own.encoding;
    try {
      const ConfigPtr config = dialect_->equivalent_config(
          *tensor.encoding, zero_points_.at(grid_key(tensor)));
      const WeightChoice choice = dialect_->stored_form(
          config->choose(tensor.encoding->shape(), tensor.encoding->dtype()));
      if (choice.encoding == nullptr) {
        throw Error(ErrorKind::Usage, choice.refusal);
      }
      auto carried = carried_from(source_, tensor, choice.encoding);
      if (carried != nullptr) return carried;
      throw Error(ErrorKind::Usage,
                  fmt::format("it and {} do not have the same grid",
                              choice.encoding->format_name()));
    } catch (const Error& error) {
      throw Error(error.kind(),
                  fmt::format("tensor {}: {} cannot be written as {}: {}",
                              quoted_name(tensor.name),
                              tensor.type,
                              dialect_->name(),
                              error.what()));
    }
  }

  void write(std::size_t index, OutputDirectory& out) {
    const DialectTensor& stored = tensors_[index].stored;
    const PlannedTensor& planned = plan_.tensors[planned_of_[index]];
    if (planned.encoding != stored.encoding) return carry(planned, out);
    for (std::size_t i = 0; i < stored.parts.size(); ++i) {
      copy(stored.parts[i], planned.outputs[i], out);
    }
  }

  void copy(std::size_t part, const FileTensor& file, OutputDirectory& out) {
    const SourceTensor& tensor = source_.tensors()[part];
    const std::int64_t count = numel(tensor.shape);
    if (count == 0) return;
    const std::int64_t width = tensor.shape.empty() ? 1 : tensor.shape.back();
    const std::int64_t row_bytes = byte_count(tensor.dtype, {width});
    const std::int64_t rows = count / width;
    const std::int64_t step = std::max<std::int64_t>(1, kStepBytes / row_bytes);
    Hash64 hash;
    for (std::int64_t row = 0; row < rows; row += step) {
      buffer_.resize(
          static_cast<std::size_t>(std::min(step, rows - row) * row_bytes));
      source_.read_rows(part, row, std::min(step, rows - row), buffer_);
      out.write(file.shard, file.offset + hash.bytes(), buffer_);
      hash.add(buffer_);
    }
    written_[file.name] = hash.digest();
  }

  // The encoder reads the source's fields by itself: the rows have no values.
  void carry(const PlannedTensor& planned, OutputDirectory& out) {
    const auto encoder = planned.encoding->make_encoder();
    const MatrixShape shape = matrix_shape(planned.tensor.shape);
    const ConstTensorView nothing{planned.tensor.dtype, {0, shape.columns}};
    FileSink sink(out, planned);
    const std::int64_t multiple =
        std::lcm(encoder->row_multiple(), planned.encoding->row_unit());
    for (const RowBlock& block :
         row_blocks(shape, shape.columns, multiple, kStepBytes)) {
      encoder->encode(block, nothing, sink);
    }
  }

  // Reads everything back; config.json, the index, companions.
  Manifest finish(OutputDirectory& out) const {
    Manifest manifest;
    manifest.tool_version = kVersion;
    for (const Shard& shard : plan_.shards) {
      manifest.add_header(shard.file, shard.header);
    }
    const auto note = [&](const std::string& name) {
      const auto [bytes, xxh3] = hash_file(out.path(name));
      manifest.files[name] = {"", bytes, xxh3};
    };
    for (const TextFile& text : plan_.texts) {
      out.write_text(text.name, text.text);
      note(text.name);
    }
    for (const Companion& companion : plan_.companions) {
      out.copy(companion);
      note(companion.name);
    }
    for (const PlannedTensor& planned : plan_.tensors) {
      for (const FileTensor& file : planned.outputs) {
        const std::int64_t bytes = byte_count(file.dtype, file.shape);
        const std::uint64_t xxh3 = out.hash(file.shard, file.offset, bytes);
        const auto known = written_.find(file.name);
        if (known != written_.end() && known->second != xxh3) {
          throw Error(ErrorKind::Unexpected,
                      fmt::format("{}: the bytes read back are not those "
                                  "written; memory or disk is faulty. Nothing "
                                  "is published",
                                  file.name));
        }
        manifest.tensors[file.name] = {
            plan_.shards[file.shard].file, bytes, xxh3};
      }
    }
    return manifest;
  }

  const CheckpointSource& source_;
  std::span<const NewTensor> tensors_;
  const Dialect* dialect_;
  std::map<std::string, bool> zero_points_;  // by grid_key()
  Plan plan_;
  std::vector<std::size_t> planned_of_;  // parallel to tensors_
  std::map<std::string, std::uint64_t> written_;
  std::vector<std::byte> buffer_;
};

}  // namespace

WrittenCheckpoint write_checkpoint(const CheckpointSource& source,
                                   std::span<const NewTensor> tensors,
                                   const WriteRequest& request,
                                   const std::filesystem::path& out) {
  if (tensors.empty()) {
    throw Error(ErrorKind::Usage, "there is no tensor to write");
  }
  return CheckpointWriter(source, tensors, request)
      .write(out, {.replace = request.replace, .restart = true});
}

}  // namespace mantissa
