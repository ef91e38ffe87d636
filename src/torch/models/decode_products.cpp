#include "torch/models/decode_products.h"

#include <algorithm>

#include "torch/ops/linear_lowbit.h"
#include "torch/ops/lowbit_rows.h"
#include "torch/tensor/packed_int8_rule.h"

namespace mantissa {

using kernels::kLowbitTile;
using kernels::LinearLowbitArgs;
using kernels::LinearLowbitBf16Args;
using kernels::LinearLowbitFloatArgs;
using kernels::lowbit_codes_of;

namespace {

// A token by a weight of any size; no row refuses by that.
constexpr kernels::LinearLowbitProblem kToken = {4, 1, 16, 32};
constexpr kernels::LinearLowbitFloatProblem kFloatToken = {4, 1, 16, 32};
constexpr kernels::LinearLowbitBf16Problem kBf16Token = {4, 1, 16, 32};

template <class Args, class Input>
Args make_args(const StepProduct& product, const Input& x) {
  Args args;
  args.w = product.linear->w;
  args.x = x;
  const StepVector& bias = product.linear->bias;
  if (bias) args.bias = bias.data();
  args.y = product.y;
  args.y_stride = args.w.n;
  return args;
}

const StepLinear& linear_of(const StepProduct& product) {
  return *product.linear;
}
const StepLinear& linear_of(const StepLinear* linear) { return *linear; }

// Calls each(one, tiles) for the parts of `all` in thread t's share of all
// their tiles.
template <class All, class Each>
void each_part(const All& all,
               std::int64_t t,
               std::int64_t threads,
               const Each& each) {
  const auto tiles = [&](std::size_t i) {
    return linear_of(all.begin()[i]).tiles();
  };
  std::int64_t total = 0;
  for (std::size_t i = 0; i < all.size(); ++i) total += tiles(i);
  for_overlaps(all.size(),
               share_of(total, t, threads),
               tiles,
               [&](std::size_t i, Share part) { each(all.begin()[i], part); });
}

// What thread t reads first of those; null: nothing that is packed.
const std::uint8_t* first_codes(StepProducts::Next next,
                                std::int64_t t,
                                std::int64_t threads) {
  const std::uint8_t* out = nullptr;
  each_part(next, t, threads, [&](const StepLinear* one, Share part) {
    if (out == nullptr) out = lowbit_codes_of(one->w, part.begin);
  });
  return out;
}

}  // namespace

StepProducts::StepProducts(c10::ScalarType type)
    : int8_(kernels::select_linear_lowbit(kToken)),
      float_(kernels::select_linear_lowbit_float(kFloatToken)),
      bf16_(kernels::select_linear_lowbit_bf16(kBf16Token)),
      input_(type) {}

void StepProducts::begin() { threads_ = thread_count(); }

void StepProducts::run(const StepProduct& product,
                       Share tiles,
                       const std::uint8_t* next) const {
  if (tiles.begin >= tiles.end) return;
  const kernels::LinearLowbitTiles part = {
      tiles.begin, tiles.end, lowbit_workspace(), next};
  const StepForm& form = input_.form(*product.linear);
  if (form.int8_of != nullptr) {
    return form.int8.run_row(int8_,
                             product.linear->int8->weight(),
                             product.linear->bias.values(),
                             part,
                             product.y);
  }
  if (takes_int8(form.compute)) {
    return int8_.run(make_args<LinearLowbitArgs>(product, form.codes.view()),
                     part);
  }
  if (form.bf16) {
    return bf16_.run(
        make_args<LinearLowbitBf16Args>(product, form.narrow.view()), part);
  }
  auto args = make_args<LinearLowbitFloatArgs>(product, form.floats.view());
  args.values = product.linear->values;
  float_.run(args, part);
}

// Thread t's share of all tiles of the packed ones.
void StepProducts::run_share(Products products,
                             Next next,
                             std::int64_t t) const {
  const StepProduct* before = nullptr;
  Share tiles = {};
  each_part(products, t, threads_, [&](const StepProduct& one, Share part) {
    if (before != nullptr) {
      run(*before, tiles, lowbit_codes_of(one.linear->w, part.begin));
    }
    before = &one;
    tiles = part;
  });
  if (before != nullptr) run(*before, tiles, first_codes(next, t, threads_));
}

// True if all of them are packed: their forms are ready then. Others are
// computed here.
bool StepProducts::prepare(const at::Tensor& x, Products products) {
  input_.set(x);
  bool all = true;
  for (const StepProduct& one : products) {
    if (one.linear->packed()) {
      input_.prepare(*one.linear);
      continue;
    }
    all = false;
    const at::Tensor y = one.linear->module->forward(input_.values())
                             .to(at::kFloat)
                             .contiguous();
    std::copy_n(y.const_data_ptr<float>(), y.numel(), one.y);
  }
  return all;
}

void StepProducts::run_packed(Products products, Next next) const {
  if (std::ranges::none_of(products, [](const StepProduct& one) {
        return one.linear->packed();
      })) {
    return;
  }
  on_threads(threads_, [&](std::int64_t t) { run_share(products, next, t); });
}

void StepProducts::multiply(const at::Tensor& x, Products products, Next next) {
  prepare(x, products);
  run_packed(products, next);
}

void StepProducts::multiply(const at::Tensor& x,
                            Products products,
                            Next next,
                            const Columns& behind) {
  const StepLinear& first = *products.begin()->linear;
  const std::int64_t columns = first.module->weight.size(0);
  if (!prepare(x, products)) {
    run_packed(products, next);
    return behind(0, columns);
  }
  on_threads(threads_, [&](std::int64_t t) {
    const Share tiles = share_of(first.tiles(), t, threads_);
    for (const StepProduct* one = products.begin(); one < products.end();
         ++one) {
      run(*one,
          tiles,
          one + 1 == products.end()
              ? first_codes(next, t, threads_)
              : lowbit_codes_of(one[1].linear->w, tiles.begin));
    }
    if (tiles.begin >= tiles.end) return;
    behind(tiles.begin * kLowbitTile,
           std::min(tiles.end * kLowbitTile, columns));
  });
}

}  // namespace mantissa
