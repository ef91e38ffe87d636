#include "checkpoint/unit_writer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/primitives/convert.h>

#include "checkpoint/block_fields.h"
#include "checkpoint/block_reader.h"
#include "checkpoint/carry_over.h"
#include "checkpoint/hash.h"
#include "kernels/error_sums.h"

namespace mantissa {
namespace {

// A field whose rows lie scattered (a transposed scale) is collected up to this
// size, else written run by run.
constexpr std::int64_t kCollectedBytes = std::int64_t{8} << 20;

// Hash and place of one output of a unit.
class UnitOutput {
 public:
  UnitOutput(OutputDirectory& out, const FileTensor& file, ByteRange range)
      : out_(out), file_(file), range_(range) {}

  // The bytes of one block of rows.
  void put(const FieldRuns& runs, std::span<const std::byte> bytes) {
    if (runs.count == 1) {
      put_run(runs.offset, bytes);
    } else if (range_.bytes <= kCollectedBytes) {
      collect(runs, bytes);
    } else {
      for (std::int64_t i = 0; i < runs.count; ++i) {
        out_.write(file_.shard,
                   file_.offset + runs.offset + i * runs.stride,
                   run(runs, i, bytes));
      }
      in_order_ = false;
    }
  }

  // The bytes of a block that an earlier block or run has written.
  void get(const FieldRuns& runs, std::span<std::byte> bytes) const {
    for (std::int64_t i = 0; i < runs.count; ++i) {
      out_.read(file_.shard,
                file_.offset + runs.offset + i * runs.stride,
                bytes.subspan(static_cast<std::size_t>(i * runs.bytes),
                              static_cast<std::size_t>(runs.bytes)));
    }
  }

  // Writes what was collected; the hash of the whole range.
  std::uint64_t finish() {
    if (!collected_.empty()) {
      out_.write(range_.shard, range_.offset, collected_);
      return hash64(collected_);
    }
    if (in_order_ && hash_.bytes() == range_.bytes) return hash_.digest();
    return out_.hash(range_.shard, range_.offset, range_.bytes);
  }

 private:
  static std::span<const std::byte> run(const FieldRuns& runs,
                                        std::int64_t index,
                                        std::span<const std::byte> bytes) {
    return bytes.subspan(static_cast<std::size_t>(index * runs.bytes),
                         static_cast<std::size_t>(runs.bytes));
  }

  void put_run(std::int64_t offset, std::span<const std::byte> bytes) {
    in_order_ =
        in_order_ && file_.offset + offset == range_.offset + hash_.bytes();
    if (in_order_) hash_.add(bytes);
    out_.write(file_.shard, file_.offset + offset, bytes);
  }

  void collect(const FieldRuns& runs, std::span<const std::byte> bytes) {
    collected_.resize(static_cast<std::size_t>(range_.bytes));
    for (std::int64_t i = 0; i < runs.count; ++i) {
      const std::span<const std::byte> one = run(runs, i, bytes);
      std::memcpy(collected_.data() + file_.offset + runs.offset +
                      i * runs.stride - range_.offset,
                  one.data(),
                  one.size());
    }
  }

  OutputDirectory& out_;
  const FileTensor& file_;
  ByteRange range_;
  Hash64 hash_;
  bool in_order_ = true;
  std::vector<std::byte> collected_;
};

std::vector<UnitOutput> unit_outputs(OutputDirectory& out,
                                     const PlannedTensor& planned,
                                     const WorkUnit& unit) {
  const std::vector<ByteRange> ranges = unit_ranges(planned, unit);
  std::vector<UnitOutput> outputs;
  outputs.reserve(ranges.size());
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    outputs.emplace_back(out, planned.outputs[i], ranges[i]);
  }
  return outputs;
}

// Compares rows with what their codes decode to.
class Measure {
 public:
  explicit Measure(const WorkUnit& unit) : first_(unit.first_matrix) {}

  void add(const RowBlock& block,
           ConstTensorView rows,
           const HostTensor& decoded,
           TensorResult& result) {
    sums_.resize(static_cast<std::size_t>(block.rows));
    const std::int64_t columns = rows.shape.back();
    kernels::error_sums(
        rows.dtype,
        {rows.data, decoded.data(), block.rows, columns, sums_.data()});
    const auto matrix = static_cast<std::size_t>(block.matrix - first_);
    if (result.errors.size() <= matrix) result.errors.resize(matrix + 1);
    ErrorSums& errors = result.errors[matrix];
    for (const kernels::RowErrorSums& row : sums_) {
      errors.signal += row.signal;
      errors.noise += row.noise;
      errors.max_error = std::max(errors.max_error, row.max_error);
      result.max_weight = std::max(result.max_weight, row.max_x);
      const double rms = std::sqrt(
          row.signal / static_cast<double>(std::max<std::int64_t>(1, columns)));
      result.crests.add(rms > 0 ? row.max_x / rms : 0);
    }
    errors.values += block.rows * columns;
  }

 private:
  std::int64_t first_;
  std::vector<kernels::RowErrorSums> sums_;
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

// Fields that hold scales of the weight.
std::vector<bool> scale_fields(const Encoding& encoding) {
  std::vector<bool> found;
  for (const FieldLayout& field : encoding.fields()) {
    found.push_back(field.name == "scale" || field.name == "weight_scale");
  }
  return found;
}

// Codes of finite weights whose scale overflows decode to NaN or infinity.
void require_decodable(const PlannedTensor& planned,
                       const TensorResult& result) {
  if (std::isfinite(result.total().noise)) return;
  throw Error(ErrorKind::Input,
              fmt::format("{}: weights up to {:.3g} overflow the scales of {}; "
                          "--ignore keeps the tensor, or choose another config "
                          "for it",
                          planned.tensor.name,
                          result.max_weight,
                          planned.encoding->format_name()));
}

bool is_of(const RowBlock& block, const WorkUnit& unit) {
  return unit.whole() || (block.matrix >= unit.first_matrix &&
                          block.matrix < unit.first_matrix + unit.matrices);
}

}  // namespace

UnitWriter::UnitWriter(const PlannedTensor& planned,
                       const CheckpointSource& source,
                       OutputDirectory& out,
                       const UnitWriterOptions& options)
    : planned_(planned),
      source_(source),
      out_(out),
      check_(options.check),
      check_kept_(!options.allow_nonfinite &&
                  is_floating_point(planned.tensor.dtype)) {}

UnitWriter::~UnitWriter() = default;

TensorResult UnitWriter::write(const WorkUnit& unit) {
  if (planned_.action == Action::Tie) return {};
  if (!is_encoded(planned_)) return copy();
  try {
    return encode(unit);
  } catch (const Error& error) {
    const std::string what = error.what();
    if (what.starts_with(planned_.tensor.name) ||
        error.kind() != ErrorKind::Input) {
      throw;
    }
    throw Error(error.kind(), planned_.tensor.name + ": " + what);
  }
}

// Statistics over the whole tensor come before its first unit.
void UnitWriter::make_passes() {
  if (encoder_ != nullptr) return;
  if (planned_.action == Action::Carry) {
    encoder_ = make_carry_encoder(
        source_.tensors()[planned_.tensor.pieces.front().source],
        planned_.encoding);
    return;
  }
  encoder_ = planned_.encoding->make_encoder();
  BlockReader reader(source_, planned_.tensor);
  while (encoder_->wants_pass()) {
    for (const RowBlock& block : reader.blocks(encoder_->row_multiple())) {
      check_();
      const ConstTensorView rows = reader.delivered(block);
      require_finite(planned_, reader, block, rows);
      encoder_->observe(block, rows);
    }
    encoder_->end_pass();
  }
}

TensorResult UnitWriter::encode(const WorkUnit& unit) {
  make_passes();
  BlockReader reader(source_, planned_.tensor);
  BlockFields fields(*planned_.encoding);
  std::vector<UnitOutput> outputs = unit_outputs(out_, planned_, unit);
  TensorResult result;
  Measure measure(unit);
  Hash64 source_hash;
  const std::vector<bool> is_scale = scale_fields(*planned_.encoding);
  const bool carry = planned_.action == Action::Carry;
  const std::int64_t multiple =
      std::lcm(encoder_->row_multiple(), planned_.encoding->row_unit());
  for (const RowBlock& block : reader.blocks(multiple)) {
    if (!is_of(block, unit)) continue;
    check_();
    const ConstTensorView rows = reader.delivered(block);
    require_finite(planned_, reader, block, rows);
    const ConstTensorView input = carry ? reader.stored(block) : rows;
    source_hash.add(input.bytes());
    fields.begin(block);
    encoder_->encode(block, input, fields);
    for (std::size_t i = 0; i < fields.size(); ++i) {
      if (fields.written(i)) {
        outputs[i].put(fields.runs(i), fields.bytes(i));
        if (is_scale[i]) result.scales.add(fields.views()[i]);
      } else if (!fields.valid(i)) {
        outputs[i].get(fields.runs(i), fields.bytes(i));
        fields.set_valid(i);
      }
    }
    measure.add(block, rows, fields.decode(), result);
    require_decodable(planned_, result);
  }
  for (UnitOutput& output : outputs) result.xxh3.push_back(output.finish());
  result.source_xxh3 = source_hash.digest();
  return result;
}

// Piece i of a kept tensor becomes output i.
TensorResult UnitWriter::copy() {
  TensorResult result;
  Hash64 source_hash;
  for (std::size_t i = 0; i < planned_.outputs.size(); ++i) {
    const std::size_t index = planned_.tensor.pieces[i].source;
    const SourceTensor& stored = source_.tensors()[index];
    Hash64 hash;
    if (numel(stored.shape) > 0) {
      // As one matrix: [2500000, 1, 1] is not read in 2500000 blocks.
      const std::int64_t columns =
          stored.shape.empty() ? 1 : stored.shape.back();
      const LoadingTensor whole{stored.name,
                                stored.dtype,
                                {numel(stored.shape) / columns, columns},
                                TensorRole::Unknown,
                                {{index}}};
      BlockReader reader(source_, whole);
      const FileTensor& file = planned_.outputs[i];
      for (const RowBlock& block : reader.blocks(1)) {
        check_();
        const ConstTensorView rows = reader.delivered(block);
        if (check_kept_) require_finite(planned_, reader, block, rows);
        const std::span<const std::byte> bytes = rows.bytes();
        out_.write(file.shard, file.offset + hash.bytes(), bytes);
        hash.add(bytes);
        source_hash.add(bytes);
      }
    }
    result.xxh3.push_back(hash.digest());
  }
  result.source_xxh3 = source_hash.digest();
  return result;
}

}  // namespace mantissa
