#pragma once

namespace torch {
class Library;
}

namespace mantissa {

/// Rules below autograd (key Fake): views, copies, writes; all else falls back
/// to the dequantized values.
void register_structural_rules(torch::Library& aten);

}  // namespace mantissa
