#pragma once

#include <mantissa/core/dtype.h>
#include <mantissa/core/error.h>

#include "kernels/common/element.h"

namespace mantissa::kernels {

/// The Element of float32, bfloat16 or float16; Error(Unexpected) otherwise:
/// the formats have checked the dtype before.
inline Element to_element(DType dtype) {
  switch (dtype) {
    case DType::Float32:
      return Element::F32;
    case DType::BFloat16:
      return Element::Bf16;
    case DType::Float16:
      return Element::F16;
    default:
      throw Error(ErrorKind::Unexpected,
                  "no encoder reads " + std::string(name(dtype)));
  }
}

/// The dtype of an Element.
inline DType to_dtype(Element element) {
  if (element == Element::F32) return DType::Float32;
  return element == Element::Bf16 ? DType::BFloat16 : DType::Float16;
}

/// Bytes of one Element.
inline int element_bytes(Element element) {
  return element == Element::F32 ? 4 : 2;
}

}  // namespace mantissa::kernels
