// Runs the affine primitives on cases that a judge wrote.
// affine_primitives_probe CASES.json IN.safetensors OUT.safetensors
#include <fstream>
#include <iostream>

#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>
#include <mantissa/primitives/choose_qparams.h>
#include <mantissa/primitives/dequantize.h>
#include <mantissa/primitives/hqq_scale_only.h>
#include <mantissa/primitives/quantize.h>

#include "support/exchange.h"

namespace mantissa {
namespace {

using Json = nlohmann::json;
using Tensors = std::map<std::string, HostTensor>;

template <class T>
std::optional<T> optional(const Json& c, const char* key) {
  return c.contains(key) ? std::optional<T>(c[key].get<T>()) : std::nullopt;
}

std::optional<DType> dtype(const Json& c, const char* key) {
  if (!c.contains(key)) return std::nullopt;
  return dtype_from_name(c[key].get<std::string>()).value();
}

ChooseQParamsOptions options_of(const Json& c) {
  ChooseQParamsOptions o;
  o.quant_min = optional<std::int64_t>(c, "quant_min");
  o.quant_max = optional<std::int64_t>(c, "quant_max");
  o.eps = optional<double>(c, "eps");
  o.scale_dtype = dtype(c, "scale_dtype");
  o.zero_point_dtype = dtype(c, "zero_point_dtype");
  o.keep_dims = c.value("keepdim", false) ? KeepDims::Yes : KeepDims::No;
  return o;
}

void run_hqq(const Json& c, const HostTensor& x, Tensors& out) {
  const std::string name = c["name"];
  const ScaleOnlyHqq r = choose_qparams_and_quantize_scale_only_hqq(
      x.view(),
      c["block_size"].get<Shape>(),
      {c["quant_min"].get<std::int64_t>(), c["quant_max"].get<std::int64_t>()});
  out[name + ".q"] = r.qdata;
  out[name + ".scale"] = r.scale;
}

void run_case(const Json& c, const Tensors& in, Tensors& out) {
  const std::string name = c["name"];
  const HostTensor& x = in.at(c["input"]);
  if (c["kind"] == "hqq") return run_hqq(c, x, out);
  const ChooseQParamsOptions options = options_of(c);
  const auto mapping =
      enum_from_spelling<MappingType>(c["mapping"].get<std::string>()).value();
  const DType target = dtype(c, "target").value();
  const Shape block = c["block_size"].get<Shape>();
  const QParams q =
      c["kind"] == "min_max"
          ? choose_qparams_affine_with_min_max(in.at(c["min"]).view(),
                                               in.at(c["max"]).view(),
                                               mapping,
                                               target,
                                               options)
          : choose_qparams_affine(x.view(), mapping, block, target, options);
  out[name + ".scale"] = q.scale;
  out[name + ".zero_point"] = q.zero_point;
  if (c["kind"] == "min_max") return;
  const QParamsView view{q.scale.view(), q.zero_point.view()};
  const HostTensor codes = quantize_affine(
      x.view(), block, view, target, {options.quant_min, options.quant_max});
  out[name + ".q"] = codes;
  out[name + ".dq"] = dequantize_affine(codes.view(), block, view, x.dtype());
  out[name + ".dq32"] = dequantize_affine(codes.view(), block, view);
}

}  // namespace
}  // namespace mantissa

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  try {
    std::ifstream file(argv[1]);
    const auto in = mantissa::support::load_tensors(argv[2]);
    mantissa::Tensors out;
    for (const auto& c : mantissa::Json::parse(file)) {
      mantissa::run_case(c, in, out);
    }
    mantissa::support::save_tensors(argv[3], out);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
