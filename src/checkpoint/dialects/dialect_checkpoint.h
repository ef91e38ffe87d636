#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <mantissa/checkpoint/source.h>
#include <mantissa/formats/encoding.h>

namespace mantissa {

/// One logical tensor of a quantized checkpoint.
struct DialectTensor {
  std::string name;
  std::string type;  ///< kPlain, or a format: "Int8Tensor", "pack-quantized"
  /// Null for a plain tensor, and for one that problems() speaks of.
  std::shared_ptr<const Encoding> encoding;
  /// Source tensors: the one of a plain tensor, or the fields in the order of
  /// encoding->fields(). Without an encoding: the parts that were found.
  std::vector<std::size_t> parts;

  static constexpr std::string_view kPlain = "Tensor";
  bool plain() const { return type == kPlain; }
};

/// The logical tensors behind a source, as a dialect reads them. Opening never
/// throws because of one tensor: what is wrong is listed, so that `verify` can
/// name all of it, and load() throws.
class DialectCheckpoint {
 public:
  /// The source outlives the object.
  explicit DialectCheckpoint(const CheckpointSource& source);
  virtual ~DialectCheckpoint() = default;

  /// In the dialect's order; those without any stored part are left out.
  const std::vector<DialectTensor>& tensors() const { return tensors_; }
  /// Names that the dialect lists and of which the files hold nothing (a tied
  /// lm_head).
  const std::vector<std::string>& missing() const { return missing_; }
  /// Source tensors that no logical tensor claims.
  const std::vector<std::size_t>& leftovers() const { return leftovers_; }
  /// What is malformed, one sentence each, naming tensor, field, expected and
  /// found.
  const std::vector<std::string>& problems() const { return problems_; }
  /// Throws Error(Input) with the first problem.
  void require_sound() const;

  const DialectTensor* find(std::string_view name) const;
  /// The fields of an encoded tensor. Throws Error(Input) with its problem,
  /// Error(Usage) when the name is unknown or the tensor plain.
  EncodedTensor load(std::string_view name) const;
  /// Any tensor in its logical dtype: decoded, or as stored.
  HostTensor load_dense(std::string_view name) const;

 protected:
  const CheckpointSource& source() const { return source_; }
  /// Index of a source tensor by its name; null if there is none.
  const std::size_t* stored(std::string_view name) const;
  void claim(std::size_t part) { claimed_[part] = true; }
  bool claimed(std::size_t part) const { return claimed_[part]; }
  void add(DialectTensor tensor);
  /// Adds the source tensor under its own name.
  void add_plain(std::size_t part);
  void add_missing(std::string name) { missing_.push_back(std::move(name)); }
  /// `who` is "tensor NAME" as at() looks for it.
  void add_problem(std::string_view tensor, const std::string& what);
  /// The same for a tensor of this format, which `what` may name already.
  void add_problem(std::string_view tensor,
                   std::string_view format,
                   std::string_view what);
  /// Lists what nothing claimed; the last step of opening.
  void collect_leftovers();
  /// Puts `parts`, named by `fields`, into the order of the encoding's fields.
  /// Throws Error(Input) when one is missing, differs or is left over.
  std::vector<std::size_t> bind_fields(
      const Encoding& encoding,
      const std::vector<FieldLayout>& fields,
      const std::vector<std::size_t>& parts) const;

 private:
  const DialectTensor& at(std::string_view name) const;
  HostTensor read_part(std::size_t index) const;

  const CheckpointSource& source_;
  std::unordered_map<std::string_view, std::size_t> stored_;
  std::vector<bool> claimed_;
  std::vector<DialectTensor> tensors_;
  std::unordered_map<std::string, std::size_t> by_name_;
  std::vector<std::string> missing_;
  std::vector<std::size_t> leftovers_;
  std::vector<std::string> problems_;
};

}  // namespace mantissa
