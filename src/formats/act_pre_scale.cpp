#include "formats/act_pre_scale.h"

#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "formats/dense_slice.h"
#include "formats/fields.h"

namespace mantissa::act_pre_scale {

void check(std::string_view owner, const FieldLayout& field, std::int64_t k) {
  const std::int64_t last = field.shape.empty() ? 1 : field.shape.back();
  if (is_high_precision(field.dtype) && (last == 1 || last == k)) return;
  throw Error(ErrorKind::Input,
              fmt::format("{}: act_pre_scale: expected a float tensor whose "
                          "last dimension is 1 or K = {}, got {} {}",
                          owner,
                          k,
                          name(field.dtype),
                          to_string(field.shape)));
}

HostTensor sliced(ConstTensorView field, std::int64_t begin, std::int64_t end) {
  const auto last = static_cast<std::int64_t>(field.shape.size()) - 1;
  if (last < 0 || field.shape.back() == 1) return fields::copied(field);
  return slice_dense(field, last, begin, end);
}

}  // namespace mantissa::act_pre_scale
