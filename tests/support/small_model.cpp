#include "support/small_model.h"

#include <cmath>
#include <fstream>
#include <sstream>

#include <mantissa/core/tensor_view.h>
#include <mantissa/primitives/float_casts.h>

#include "support/exchange.h"

namespace mantissa::support {
namespace {

HostTensor weights(Shape shape, int seed) {
  HostTensor tensor(DType::BFloat16, std::move(shape));
  for (std::int64_t i = 0; i < tensor.numel(); ++i) {
    const auto x = static_cast<double>(i * 7 + seed * 1000);
    tensor.as<std::uint16_t>()[i] =
        float_to_bfloat16(static_cast<float>(std::sin(x) * 0.05));
  }
  return tensor;
}

}  // namespace

void write_small_model(const std::filesystem::path& directory,
                       int layers,
                       int width) {
  std::filesystem::create_directories(directory);
  std::map<std::string, HostTensor> tensors = {
      {"model.embed_tokens.weight", weights({96, width}, 1)},
      {"model.norm.weight", weights({width}, 2)}};
  for (int i = 0; i < layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    tensors[layer + "input_layernorm.weight"] = weights({width}, 10 * i + 3);
    tensors[layer + "self_attn.q_proj.weight"] =
        weights({width, width}, 10 * i + 4);
    tensors[layer + "mlp.down_proj.weight"] =
        weights({width, 2 * width}, 10 * i + 5);
  }
  save_tensors(directory / "model.safetensors", tensors);
  std::ofstream(directory / "config.json")
      << R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama",
             "num_hidden_layers": )"
      << layers << R"(, "tie_word_embeddings": true})";
  std::ofstream(directory / "tokenizer.json") << "{}";
}

std::map<std::string, std::string> directory_contents(
    const std::filesystem::path& directory) {
  std::map<std::string, std::string> out;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(directory)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    out[std::filesystem::relative(entry.path(), directory).string()] =
        text.str();
  }
  return out;
}

}  // namespace mantissa::support
