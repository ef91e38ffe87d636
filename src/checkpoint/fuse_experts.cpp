#include "checkpoint/fuse_experts.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/core/tensor_view.h>

namespace mantissa {
namespace {

// What a complete set of pieces looks like.
struct Expected {
  std::int64_t experts;
  std::int64_t parts;  // stored matrices per expert: gate and up, or down
};

[[noreturn]] void throw_missing(const NameTable& table,
                                const NameMatch& match,
                                const Expected& expected,
                                std::int64_t place,
                                const std::string& name) {
  ExpertPart part = ExpertPart::Down;
  if (expected.parts == 2) {
    part = place % 2 == 0 ? ExpertPart::Gate : ExpertPart::Up;
  }
  std::vector<std::int64_t> numbers = match.numbers;
  numbers.back() = place / expected.parts;
  throw Error(
      ErrorKind::Input,
      fmt::format(
          "{}: missing from the checkpoint; {} joins {} "
          "experts and needs all of them",
          spell_name(match.stored_prefix, table.sibling(match, part), numbers),
          name,
          expected.experts));
}

// Sorted pieces must hold every part of experts 0 .. experts - 1 once. The walk
// costs the pieces that are there, never what a hostile number claims.
void check_complete(const CheckpointSource& source,
                    const NameTable& table,
                    const NameMatch& match,
                    const Expected& expected,
                    const std::vector<ExpertPiece>& pieces,
                    const std::string& name) {
  std::int64_t at = 0;
  for (const ExpertPiece& piece : pieces) {
    const std::string& stored = source.tensors()[piece.source].name;
    const std::int64_t place =
        piece.expert * expected.parts + (piece.part == ExpertPart::Up ? 1 : 0);
    if (piece.expert >= expected.experts) {
      throw Error(ErrorKind::Input,
                  fmt::format("{}: expert {}, but config.json says {} experts",
                              stored,
                              piece.expert,
                              expected.experts));
    }
    if (place < at) {
      throw Error(
          ErrorKind::Input,
          fmt::format(
              "{}: the checkpoint holds this part of {} twice", stored, name));
    }
    if (place > at) throw_missing(table, match, expected, at, name);
    ++at;
  }
  if (at != expected.experts * expected.parts) {
    throw_missing(table, match, expected, at, name);
  }
}

void check_matrix(const SourceTensor& tensor,
                  const SourceTensor& first,
                  const std::string& name) {
  if (tensor.shape.size() != 2) {
    throw Error(ErrorKind::Input,
                fmt::format("{}: expected a matrix, one expert of {}, got {}",
                            tensor.name,
                            name,
                            to_string(tensor.shape)));
  }
  if (tensor.shape == first.shape && tensor.dtype == first.dtype) return;
  throw Error(ErrorKind::Input,
              fmt::format("{}: cannot join the experts of {}: expected {} {} "
                          "as in {}, got {} {}",
                          tensor.name,
                          name,
                          mantissa::name(first.dtype),
                          to_string(first.shape),
                          first.name,
                          mantissa::name(tensor.dtype),
                          to_string(tensor.shape)));
}

}  // namespace

void fuse_experts(const CheckpointSource& source,
                  const NameTable& table,
                  const NameMatch& match,
                  std::optional<std::int64_t> experts,
                  std::vector<ExpertPiece> pieces,
                  LoadingTensor& out) {
  std::ranges::sort(pieces, {}, [](const ExpertPiece& piece) {
    return std::pair(piece.expert, piece.part);
  });
  const Expected expected{.experts = experts.value_or(pieces.back().expert + 1),
                          .parts = match.row->part == ExpertPart::Down ? 1 : 2};
  check_complete(source, table, match, expected, pieces, out.name);
  const SourceTensor& first = source.tensors()[pieces.front().source];
  for (const ExpertPiece& piece : pieces) {
    check_matrix(source.tensors()[piece.source], first, out.name);
    const bool up = piece.part == ExpertPart::Up;
    out.pieces.push_back({.source = piece.source,
                          .matrix = piece.expert,
                          .row = up ? first.shape[0] : 0});
  }
  out.dtype = first.dtype;
  out.shape = {
      expected.experts, expected.parts * first.shape[0], first.shape[1]};
}

}  // namespace mantissa
