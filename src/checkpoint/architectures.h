#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "checkpoint/loading_names.h"

namespace mantissa {

/// Which rows of a fused expert matrix a stored tensor fills.
enum class ExpertPart : std::uint8_t {
  None,  ///< not an expert of its own: the tensor loads whole
  Gate,  ///< rows [0, I) of gate_up_proj [E, 2I, H]
  Up,    ///< rows [I, 2I) of gate_up_proj [E, 2I, H]
  Down,  ///< the matrix of down_proj [E, H, I]
};

/// One name of one architecture. '#' stands for a layer or expert number.
struct NameRow {
  std::string_view stored;
  TensorRole role;
  std::string_view loading = {};  ///< "" if equal to `stored`
  ExpertPart part = ExpertPart::None;
};

using NameRows = std::span<const NameRow>;

/// What the classes of one model_type share.
struct Family {
  std::string_view model_type;
  std::string_view base_prefix;  ///< of the base model inside a class with head
  std::span<const NameRows> rows;  ///< names below the base prefix
  bool tie_default;  ///< tie_word_embeddings where config.json has no such key
  std::string_view embedding;  ///< below the base prefix
};

/// What one kind of class adds to its base model.
struct ClassKind {
  bool prefixed;               ///< the base model sits under `base_prefix`
  NameRows base;               ///< more names below the base prefix
  NameRows root;               ///< names of the head itself
  std::string_view tied = {};  ///< head weight that a tie takes away
};

/// One class that Transformers loads.
struct Architecture {
  std::string_view name;  ///< config.json's architectures[0]
  const Family* family;
  const ClassKind* kind;
};

/// All rows; the first of a family is the class for its model_type alone.
std::span<const Architecture> architectures();

/// The architecture of that name, else the first of that model_type, else null.
const Architecture* find_architecture(std::string_view name,
                                      std::string_view model_type);

}  // namespace mantissa
