#include <mantissa/configs/registry.h>

#include <algorithm>
#include <array>
#include <cctype>

#include <nlohmann/json.hpp>

#include <mantissa/configs.h>
#include <mantissa/core/error.h>

#include "configs/read_config.h"

namespace mantissa {
namespace {

template <class T>
std::shared_ptr<FieldConfig> make() {
  return std::make_shared<T>();
}

constexpr bool kNow = true;
constexpr bool kLater = false;

// type, short name, available, field of --group-size, summary, fits, fits not,
// factory, and the field that tells two classes of one name apart.
constexpr ConfigRow kRows[] = {
    {"Int8WeightOnlyConfig",
     "int8_weight_only",
     kNow,
     "granularity",
     "int8 weights, one scale per row (or tensor, or group)",
     "anything: safest loss of size, runs on CPUs and GPUs",
     "where 8 bits a weight are too many",
     make<Int8WeightOnlyConfig>},
    {"Int8DynamicActivationInt8WeightConfig",
     "int8_dynamic_activation_int8_weight",
     kNow,
     "",
     "int8 weights, activations to int8 at run time",
     "large batches on CPUs with VNNI or AMX, and on GPUs",
     "activations with outliers; batch 1, where weight-only is as fast",
     make<Int8DynamicActivationInt8WeightConfig>},
    {"Int4WeightOnlyConfig",
     "int4_weight_only",
     kNow,
     "group_size",
     "int4 weights in groups, bfloat16 scale and zero point",
     "small batches on CUDA: plain needs mslk, tile_packed_to_4d SM80",
     "CPUs in Transformers: neither format runs there",
     make<Int4WeightOnlyConfig>},
    {"IntxWeightOnlyConfig",
     "intx_weight_only",
     kNow,
     "granularity",
     "1- to 8-bit weights, one code a byte, per row or group",
     "trying bit widths; runs everywhere, on CPUs too",
     "small files: a code takes a whole byte; 3-D expert weights",
     make<IntxWeightOnlyConfig>},
    {"Int8DynamicActivationIntxWeightConfig",
     "int8_dynamic_activation_intx_weight",
     kNow,
     "weight_granularity",
     "1- to 8-bit weights in groups, activations to int8 at run time",
     "export to ExecuTorch and ARM; runs everywhere by dequantizing",
     "small files: a code takes a whole byte; 3-D expert weights",
     make<Int8DynamicActivationIntxWeightConfig>},
    {"Float8WeightOnlyConfig",
     "float8_weight_only",
     kNow,
     "granularity",
     "float8 weights, one scale per row (or tensor, or group)",
     "anything; outliers within a row; expert weights",
     "where int8's finer grid near zero matters less than range",
     make<Float8WeightOnlyConfig>},
    {"Float8DynamicActivationFloat8WeightConfig",
     "float8_dynamic_activation_float8_weight",
     kNow,
     "",
     "float8 weights, activations to float8 at run time",
     "GPUs from SM89 (Ada, Hopper) and MI300, large batches",
     "older GPUs; dimensions that are no multiples of 16",
     make<Float8DynamicActivationFloat8WeightConfig>},
    {"Float8DynamicActivationInt4WeightConfig",
     "float8_dynamic_activation_int4_weight",
     kNow,
     "",
     "int4 weights in groups of 128, activations to float8 at run time",
     "Hopper with mslk; give int4_packing_format=plain",
     "everything else; K that is no multiple of 128",
     make<Float8DynamicActivationInt4WeightConfig>},
    {"NF4WeightOnlyConfig",
     "nf4_weight_only",
     kNow,
     "",
     "4-bit normal-float weights with doubly quantized scales (QLoRA)",
     "fine-tuning with adapters, read back by this project",
     "Transformers and vLLM: they cannot load it",
     make<NF4WeightOnlyConfig>},
    {"FqnToConfig",
     "fqn_to_config",
     kNow,
     "",
     "another config, or none, for names and patterns",
     "mixed precision; sensitive layers kept",
     "words of a command line: it is a JSON file",
     make<FqnToConfig>},
    {"Int8StaticActivationInt8WeightConfig",
     "int8_static_activation_int8_weight",
     kLater,
     "",
     "int8 weights, int8 activations with calibrated scales",
     "fixed workloads once calibration exists",
     "now: needs calibration",
     make<Int8StaticActivationInt8WeightConfig>},
    {"Float8StaticActivationFloat8WeightConfig",
     "float8_static_activation_float8_weight",
     kLater,
     "",
     "float8 weights, float8 activations with calibrated scales",
     "fixed workloads once calibration exists",
     "now: needs calibration",
     make<Float8StaticActivationFloat8WeightConfig>},
    {"MXDynamicActivationMXWeightConfig",
     "mx_dynamic_activation_mx_weight",
     kLater,
     "",
     "MX float8 or float4, a power-of-two scale for 32",
     "Blackwell",
     "now: the format comes later",
     make<MXDynamicActivationMXWeightConfig>},
    {"NVFP4DynamicActivationNVFP4WeightConfig",
     "nvfp4_dynamic_activation_nvfp4_weight",
     kLater,
     "",
     "NVFP4 weights and activations, a float8 scale for 16",
     "Blackwell",
     "now: the format comes later",
     make<NVFP4DynamicActivationNVFP4WeightConfig>},
    {"NVFP4WeightOnlyConfig",
     "nvfp4_weight_only",
     kLater,
     "",
     "NVFP4 weights, a float8 scale for 16",
     "Blackwell",
     "now: the format comes later",
     make<NVFP4WeightOnlyConfig>},
    {"UIntxWeightOnlyConfig",
     "uintx_weight_only",
     kLater,
     "group_size",
     "bit-packed 4- or 8-bit weights for gemlite",
     "GPUs with gemlite",
     "now: the format comes later",
     make<UIntxWeightOnlyConfig>},
    {"Int8DynamicActivationUIntxWeightConfig",
     "int8_dynamic_activation_uintx_weight",
     kLater,
     "group_size",
     "bit-packed 4- or 8-bit weights, activations to int8 at run time",
     "GPUs with gemlite",
     "now: the format comes later",
     make<Int8DynamicActivationUIntxWeightConfig>},
    {"PrototypeInt4WeightOnlyConfig",
     "prototype_int4_weight_only",
     kLater,
     "group_size",
     "int4 weights packed for one CPU",
     "int4 on CPUs",
     "now: the format comes later; its files fit one CPU only",
     make<PrototypeInt4WeightOnlyConfig>},
    {"Int8DynamicActivationInt4WeightConfig",
     "int8_dynamic_activation_int4_weight",
     kLater,
     "group_size",
     "int4 weights packed for one CPU, activations to int8 at run time",
     "int4 on CPUs",
     "now: the format comes later; its files fit one CPU only",
     make<Int8DynamicActivationInt4WeightConfig>},
    {"Float8DynamicActivationFloat8WeightOpaqueTensorConfig",
     "float8_dynamic_activation_float8_weight_opaque_tensor",
     kLater,
     "",
     "float8 weights packed for one CPU, activations to float8",
     "float8 on CPUs with AMX",
     "now: the format comes later; its files fit one CPU only",
     make<Float8DynamicActivationFloat8WeightOpaqueTensorConfig>},
    {"StretchedIntxWeightConfig",
     "stretched_intx_weight",
     kLater,
     "granularity",
     "1- to 8-bit weights on PARQ's stretched grid",
     "models trained with PARQ",
     "now: comes with training",
     make<StretchedIntxWeightConfig>},
    {"AWQConfig",
     "awq",
     kLater,
     "",
     "another config after scaling columns by activations",
     "int4 with better accuracy",
     "now: needs calibration",
     make<AWQConfig>},
    {"SmoothQuantConfig",
     "smooth_quant",
     kLater,
     "",
     "another config after moving outliers into weights",
     "int8 activations with outliers",
     "now: needs calibration",
     make<SmoothQuantConfig>},
    {"GPTQConfig",
     "gptq",
     kLater,
     "",
     "another config, rounded with second-order statistics",
     "int4 with better accuracy",
     "now: needs calibration",
     make<GPTQConfig>},
    {"GGUFWeightOnlyConfig",
     "gguf_weight_only",
     kLater,
     "",
     "torchao's super-block format",
     "nothing: it is not ggml's Q4_K",
     "now: the format comes later",
     make<GGUFWeightOnlyConfig>},
    {"CodebookWeightOnlyConfig",
     "codebook_weight_only",
     kLater,
     "",
     "indices into a learned codebook, with scales",
     "research",
     "now: the format comes later",
     make<CodebookWeightOnlyConfig>,
     "scale_block_size"},
    {"CodebookWeightOnlyConfig",
     "codebook_coreml_weight_only",
     kLater,
     "",
     "indices into lookup tables of Core ML",
     "Core ML",
     "now: the format comes later",
     make<CoremlCodebookWeightOnlyConfig>},
    {"GroupwiseLutWeightConfig",
     "groupwise_lut_weight",
     kLater,
     "",
     "lookup tables for groups of rows or columns",
     "ARM",
     "now: the format comes later",
     make<GroupwiseLutWeightConfig>},
};

constexpr std::size_t kCount = std::size(kRows);

template <std::size_t I>
ConfigPtr make_public() {
  return kRows[I].make();
}

template <std::size_t... I>
constexpr std::array<ConfigInfo, kCount> make_infos(std::index_sequence<I...>) {
  return {{{kRows[I].type,
            kRows[I].short_name,
            kRows[I].available ? Availability::Now : Availability::Later,
            kRows[I].summary,
            kRows[I].fits,
            kRows[I].fits_not,
            make_public<I>}...}};
}

constexpr auto kInfos = make_infos(std::make_index_sequence<kCount>());

// "Int4WeightOnlyConfig", "int4_weight_only" -> "int4weightonly".
std::string plain(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c != '_') {
      out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
  }
  if (out.ends_with("config") && out != "fqntoconfig") {
    out.resize(out.size() - std::string_view("config").size());
  }
  return out;
}

}  // namespace

std::span<const ConfigRow> config_rows() { return kRows; }

std::span<const ConfigInfo> configs() { return kInfos; }

const ConfigRow* find_row(std::string_view type, const Json& data) {
  for (const ConfigRow& row : kRows) {
    if (row.type != type) continue;
    if (row.telling_field.empty() ||
        data.contains(std::string(row.telling_field))) {
      return &row;
    }
  }
  return nullptr;
}

const ConfigInfo* find_config(std::string_view name) {
  for (const ConfigInfo& info : kInfos) {
    if (info.type == name || info.short_name == name) return &info;
  }
  const std::string wanted = plain(name);
  for (const ConfigInfo& info : kInfos) {
    if (plain(info.type) == wanted || plain(info.short_name) == wanted) {
      return &info;
    }
  }
  return nullptr;
}

std::vector<std::string> config_names() {
  std::vector<std::string> out;
  for (const ConfigRow& row : kRows) out.emplace_back(row.short_name);
  for (const ConfigRow& row : kRows) out.emplace_back(row.type);
  return out;
}

void throw_not_available(std::string_view what, std::string_view available) {
  std::string names(available);
  if (names.empty()) {
    for (const ConfigRow& row : kRows) {
      if (row.available) {
        names += (names.empty() ? "" : ", ") + std::string(row.short_name);
      }
    }
  }
  throw Error(ErrorKind::Usage,
              std::string(what) +
                  " is not available in this version; available: " + names);
}

}  // namespace mantissa
