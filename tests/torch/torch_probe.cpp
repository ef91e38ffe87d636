// torch_probe formats: the formats of this build, one a line.
// torch_probe resave IN OUT: loads the checkpoint IN into a module of its names
// and saves it as the file OUT.
// torch_probe quantize CONFIG IN OUT: loads plain weights, quantizes every
// matrix named "weight", and saves the directory OUT.
// torch_probe run IN X OUT: for each tensor "NAME/.." of the file X, the
// product with NAME.weight, plus NAME.bias if there is one, goes to OUT.

#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <map>
#include <string>

#include <torch/torch.h>

#include <mantissa/configs/registry.h>
#include <mantissa/formats/registry.h>
#include <mantissa/torch/checkpoint.h>
#include <mantissa/torch/quantize.h>

#include "support/exchange.h"
#include "support/temp_dir.h"
#include "torch/checkpoint/checkpoint_weights.h"
#include "torch/tensor/host_tensors.h"
#include "torch/tree_module.h"

namespace {

using namespace mantissa;
namespace fs = std::filesystem;

// A module with the names, shapes and dtypes of a checkpoint, loaded from it.
std::shared_ptr<tests::TreeModule> load(const fs::path& path) {
  auto module = std::make_shared<tests::TreeModule>();
  const CheckpointWeights weights(path);
  for (const CheckpointWeight& weight : weights.weights()) {
    module->add(weight.name,
                torch::zeros(weight.shape, scalar_type_of(weight.dtype)));
  }
  load_checkpoint(*module, path);
  return module;
}

void resave(const fs::path& in, const fs::path& out) {
  const support::TempDir dir;
  save_checkpoint(*load(in), dir.path() / "out");
  fs::copy_file(dir.path() / "out/model.safetensors",
                out,
                fs::copy_options::overwrite_existing);
}

void quantize(const char* config, const fs::path& in, const fs::path& out) {
  const auto module = load(in);
  QuantizeOptions options;
  options.strict = true;
  options.filter = [](const torch::nn::Module& child, const std::string&) {
    const auto parameters = child.named_parameters(false);
    const auto* weight = parameters.find("weight");
    return weight != nullptr && weight->dim() == 2;
  };
  quantize_(*module, parse_config_words(config), options);
  save_checkpoint(*module, out, {.overwrite = true});
}

HostTensor to_host(const at::Tensor& tensor) {
  const at::Tensor dense = tensor.contiguous();
  HostTensor out(dtype_of(dense.scalar_type()), shape_of(dense));
  std::memcpy(out.data(), dense.const_data_ptr(), dense.nbytes());
  return out;
}

void run(const fs::path& in, const fs::path& x, const fs::path& out) {
  const torch::NoGradGuard no_grad;
  const auto module = load(in);
  const auto parameters = module->named_parameters();
  std::map<std::string, HostTensor> results;
  for (const auto& [name, input] : support::load_tensors(x)) {
    const std::string owner = name.substr(0, name.find('/'));
    const auto* bias = parameters.find(owner + ".bias");
    const at::Tensor y = at::linear(from_host(input),
                                    parameters[owner + ".weight"],
                                    bias == nullptr ? at::Tensor() : *bias);
    results.emplace(name, to_host(y));
  }
  support::save_tensors(out, results);
}

int call(const std::vector<std::string>& arguments) {
  if (arguments == std::vector<std::string>{"formats"}) {
    for (const Format& format : formats()) {
      std::printf("%s\n", std::string(format.name).c_str());
    }
    return 0;
  }
  if (arguments.size() == 3 && arguments[0] == "resave") {
    resave(arguments[1], arguments[2]);
    return 0;
  }
  if (arguments.size() == 4 && arguments[0] == "quantize") {
    quantize(arguments[1].c_str(), arguments[2], arguments[3]);
    return 0;
  }
  if (arguments.size() == 4 && arguments[0] == "run") {
    run(arguments[1], arguments[2], arguments[3]);
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
