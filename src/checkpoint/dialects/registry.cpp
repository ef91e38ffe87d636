#include "checkpoint/dialects/compressed_tensors.h"
#include "checkpoint/dialects/dialect.h"
#include "checkpoint/dialects/torchao.h"

namespace mantissa {

std::span<const Dialect* const> dialects() {
  static const Dialect* const kDialects[] = {
      &torchao_dialect(),
      &compressed_tensors_dialect(),
  };
  return kDialects;
}

const Dialect* find_dialect(std::string_view name) {
  for (const Dialect* dialect : dialects()) {
    if (dialect->name() == name) return dialect;
  }
  return nullptr;
}

const Dialect* dialect_of(const CheckpointSource& source) {
  for (const Dialect* dialect : dialects()) {
    if (dialect->recognizes(source)) return dialect;
  }
  return nullptr;
}

}  // namespace mantissa
