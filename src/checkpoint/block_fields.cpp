#include "checkpoint/block_fields.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include <mantissa/core/error.h>

namespace mantissa {
namespace {

bool same_place(const FieldRuns& a, const FieldRuns& b) {
  return a.offset == b.offset && a.bytes == b.bytes && a.count == b.count &&
         a.stride == b.stride;
}

}  // namespace

BlockFields::BlockFields(const Encoding& whole)
    : whole_(whole), fields_(whole.fields().size()) {}

void BlockFields::begin(const RowBlock& block) {
  EncodedRows rows = whole_.rows(block);
  for (FieldRuns& runs : rows.fields) {
    if (runs.count == 1 || runs.stride != runs.bytes) continue;
    runs = {runs.offset, runs.bytes * runs.count};  // no gaps: one run
  }
  for (std::size_t i = 0; i < fields_.size(); ++i) {
    const bool kept = !rows_.fields.empty() && fields_[i].valid &&
                      same_place(rows.fields[i], rows_.fields[i]);
    fields_[i].valid = kept;
    fields_[i].written = 0;
    fields_[i].bytes.resize(
        static_cast<std::size_t>(rows.fields[i].bytes * rows.fields[i].count));
  }
  rows_ = std::move(rows);
}

void BlockFields::write(std::size_t field,
                        std::int64_t offset,
                        std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  const FieldRuns& runs = rows_.fields.at(field);
  const auto size = static_cast<std::int64_t>(bytes.size());
  const std::int64_t from = offset - runs.offset;
  const std::int64_t run = runs.count == 1 ? 0 : from / runs.stride;
  const std::int64_t within = from - run * runs.stride;
  if (from < 0 || run >= runs.count || within + size > runs.bytes) {
    throw Error(ErrorKind::Unexpected,
                fmt::format("{}: {} bytes at {} of field {} are not of the "
                            "block",
                            whole_.format_name(),
                            size,
                            offset,
                            field));
  }
  Field& target = fields_[field];
  std::memcpy(target.bytes.data() + run * runs.bytes + within,
              bytes.data(),
              bytes.size());
  target.written += size;
  target.valid = true;
}

std::span<std::byte> BlockFields::bytes(std::size_t field) {
  return fields_[field].bytes;
}

bool BlockFields::written(std::size_t field) const {
  const Field& f = fields_[field];
  if (f.written == 0) return false;
  if (f.written == static_cast<std::int64_t>(f.bytes.size())) return true;
  throw Error(ErrorKind::Unexpected,
              fmt::format("{}: field {}: {} of {} bytes of a block written",
                          whole_.format_name(),
                          field,
                          f.written,
                          f.bytes.size()));
}

std::vector<ConstTensorView> BlockFields::views() const {
  std::vector<ConstTensorView> views;
  const std::vector<FieldLayout> layouts = rows_.encoding->fields();
  for (std::size_t i = 0; i < layouts.size(); ++i) {
    views.push_back(
        {layouts[i].dtype, layouts[i].shape, fields_[i].bytes.data()});
  }
  return views;
}

}  // namespace mantissa
