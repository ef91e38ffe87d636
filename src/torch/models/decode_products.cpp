#include "torch/models/decode_products.h"

#include <algorithm>

#include "torch/ops/linear_lowbit.h"

namespace mantissa {

using kernels::kLowbitTile;

StepProducts::StepProducts()
    : threads_(thread_count()),
      kernel_(kernels::select_linear_lowbit({4, 1, 16, 32})) {}

void StepProducts::run(const StepProduct& product, Share tiles) const {
  if (tiles.begin >= tiles.end) return;
  const StepLinear& linear = *product.linear;
  kernels::LinearLowbitArgs args;
  args.w = linear.w;
  args.x = input_.codes(linear.compute);
  args.bias = linear.bias;
  args.y = product.y;
  args.y_stride = linear.w.n;
  kernel_.run(args, {tiles.begin, tiles.end, lowbit_workspace()});
}

// Thread t's share of all tiles of the packed ones.
void StepProducts::run_share(Products products, std::int64_t t) const {
  std::int64_t total = 0;
  for (const StepProduct& one : products) total += one.linear->tiles();
  const Share mine = share_of(total, t, threads_);
  std::int64_t first = 0;
  for (const StepProduct& one : products) {
    const std::int64_t count = one.linear->tiles();
    run(one,
        {std::clamp<std::int64_t>(mine.begin - first, 0, count),
         std::clamp<std::int64_t>(mine.end - first, 0, count)});
    first += count;
  }
}

// True if all of them are packed: their codes are ready then. Others are
// computed here.
bool StepProducts::prepare(const at::Tensor& x, Products products) {
  input_.set(x);
  bool all = true;
  for (const StepProduct& one : products) {
    if (one.linear->packed()) {
      input_.prepare(one.linear->compute);
      continue;
    }
    all = false;
    // Autocast may have made it narrower.
    const at::Tensor y =
        one.linear->module->forward(x).to(at::kFloat).contiguous();
    std::copy_n(y.const_data_ptr<float>(), y.numel(), one.y);
  }
  return all;
}

void StepProducts::run_packed(Products products) const {
  if (std::ranges::none_of(products, [](const StepProduct& one) {
        return one.linear->packed();
      })) {
    return;
  }
  on_threads(threads_, [&](std::int64_t t) { run_share(products, t); });
}

void StepProducts::multiply(const at::Tensor& x, Products products) {
  prepare(x, products);
  run_packed(products);
}

void StepProducts::multiply(const at::Tensor& x,
                            Products products,
                            const Columns& behind) {
  const StepLinear& first = *products.begin()->linear;
  const std::int64_t columns = first.module->weight.size(0);
  if (!prepare(x, products)) {
    run_packed(products);
    return behind(0, columns);
  }
  on_threads(threads_, [&](std::int64_t t) {
    const Share tiles = share_of(first.tiles(), t, threads_);
    for (const StepProduct& one : products) run(one, tiles);
    if (tiles.begin >= tiles.end) return;
    behind(tiles.begin * kLowbitTile,
           std::min(tiles.end * kLowbitTile, columns));
  });
}

}  // namespace mantissa
