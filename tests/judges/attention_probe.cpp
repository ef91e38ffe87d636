// attention_probe schema: the schema of mantissa::qscaled_dot_product.
// attention_probe run IN OUT: for each case N of the file IN, attention of the
// tensors N/q, N/k, N/v, N/mask (may be absent) with N/options, float32: 1 for
// a scale of scores, that scale, then scale and zero point of q, k, v, a and o.
// The codes go to OUT as N.

#include <cstdio>
#include <cstring>
#include <exception>
#include <map>
#include <string>
#include <vector>

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/torch.h>

#include <mantissa/torch/qscaled_dot_product.h>

#include "support/exchange.h"
#include "torch/tensor/host_tensors.h"

namespace {

using namespace mantissa;

HostTensor to_host(const at::Tensor& tensor) {
  const at::Tensor dense = tensor.contiguous();
  HostTensor out(dtype_of(dense.scalar_type()), shape_of(dense));
  std::memcpy(out.data(), dense.const_data_ptr(), dense.nbytes());
  return out;
}

QScaledDotProductOptions options_of(const at::Tensor& numbers) {
  const auto at = [&](std::int64_t i) {
    return static_cast<double>(numbers[i].item<float>());
  };
  const auto zero = [&](std::int64_t i) {
    return static_cast<std::int64_t>(at(i));
  };
  QScaledDotProductOptions out;
  if (at(0) == 1) out.scale = at(1);
  out.q_scale = at(2), out.q_zp = zero(3);
  out.k_scale = at(4), out.k_zp = zero(5);
  out.v_scale = at(6), out.v_zp = zero(7);
  out.a_scale = at(8), out.a_zp = zero(9);
  out.o_scale = at(10), out.o_zp = zero(11);
  return out;
}

void run(const char* in, const char* out) {
  const std::map<std::string, HostTensor> tensors = support::load_tensors(in);
  std::map<std::string, HostTensor> results;
  for (const auto& [name, numbers] : tensors) {
    if (!name.ends_with("/options")) continue;
    const std::string which = name.substr(0, name.find('/'));
    const auto tensor = [&](const char* part) {
      return from_host(tensors.at(which + "/" + part));
    };
    QScaledDotProductOptions options = options_of(from_host(numbers));
    if (tensors.contains(which + "/mask")) options.attn_mask = tensor("mask");
    results.emplace(which,
                    to_host(qscaled_dot_product(
                        tensor("q"), tensor("k"), tensor("v"), options)));
  }
  support::save_tensors(out, results);
}

int call(const std::vector<std::string>& arguments) {
  if (arguments == std::vector<std::string>{"schema"}) {
    const auto op = c10::Dispatcher::singleton().findSchemaOrThrow(
        "mantissa::qscaled_dot_product", "");
    std::printf("%s\n", c10::str(op.schema()).c_str());
    return 0;
  }
  if (arguments.size() == 3 && arguments[0] == "run") {
    run(arguments[1].c_str(), arguments[2].c_str());
    return 0;
  }
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return call({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
