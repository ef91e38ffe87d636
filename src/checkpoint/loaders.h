#pragma once

#include <string>

#include <mantissa/formats/encoding.h>

namespace mantissa {

/// What a format meets outside, measured with torchao 0.18 and Transformers
/// 5.23 on a CPU (docs/formats).
struct LoaderNote {
  bool private_format = false;  ///< nobody else can load it
  std::string loads;            ///< what loads it
  std::string runs;             ///< what runs it
};

/// The note for an encoding, with its parameters and rank taken into account.
LoaderNote loader_note(const Encoding& encoding);

}  // namespace mantissa
