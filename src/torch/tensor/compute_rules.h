#pragma once

namespace torch {
class Library;
}

namespace mantissa {

/// Rules above autograd (key DeferredInit): products with a wrapped weight.
void register_compute_rules(torch::Library& aten);

}  // namespace mantissa
