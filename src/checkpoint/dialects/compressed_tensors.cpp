#include "checkpoint/dialects/compressed_tensors.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/configs/compressed_scheme.h>
#include <mantissa/core/error.h>

#include "checkpoint/plan.h"
#include "core/quoted.h"
#include "formats/compressed_tensor.h"

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;

const CompressedEncoding* compressed(const PlannedTensor& planned) {
  return is_encoded(planned)
             ? dynamic_cast<const CompressedEncoding*>(planned.encoding.get())
             : nullptr;
}

// Transformers' default load casts scales to the model's dtype.
bool scale_is_cast(const CompressedEncoding& encoding) {
  return encoding.scale_dtype() != encoding.dtype();
}

class CompressedTensorsDialect final : public Dialect {
 public:
  std::string_view name() const override { return "compressed-tensors"; }

  WeightChoice stored_form(WeightChoice choice) const override {
    if (choice.encoding == nullptr ||
        dynamic_cast<const CompressedEncoding*>(choice.encoding.get())) {
      return choice;
    }
    RepackChoice repacked =
        repack_for_compressed_tensors(std::move(choice.encoding));
    return {std::move(repacked.encoding),
            std::move(repacked.refusal),
            std::move(repacked.remedy)};
  }

  ConfigPtr equivalent_config(const Encoding& encoding,
                              bool zero_points) const override;

  std::string field_name(std::string_view tensor,
                         std::string_view field) const override {
    const std::string_view module = compressed_module(tensor);
    if (module.empty()) {
      throw Error(ErrorKind::Usage,
                  fmt::format("tensor {}: compressed-tensors holds parameters "
                              "named MODULE.weight; keep it with --ignore, or "
                              "use --format torchao",
                              quoted_name(tensor)));
    }
    return fmt::format("{}.{}", module, field);
  }

  LoaderNote loader_note(const Encoding& encoding) const override {
    return compressed_loader_note(encoding);
  }

  void check_plan(const PlanRequest& request, Plan& plan) const override;

  std::map<std::string, std::string> metadata(const Plan&) const override {
    return {{"format", "pt"}};
  }

  Json quantization_config(const Plan& plan, const Config*) const override {
    return compressed_config(plan);
  }

  bool recognizes(const CheckpointSource& source) const override {
    return !compressed_quantization(source.config_json()).is_null();
  }

  std::unique_ptr<DialectCheckpoint> open(
      const CheckpointSource& source) const override {
    return std::make_unique<CompressedCheckpoint>(source);
  }

  std::vector<Finding> verify_config(
      const Json& quantization,
      std::span<const LogicalTensor* const> quantized) const override {
    return verify_compressed_config(quantization, quantized);
  }
};

ConfigPtr CompressedTensorsDialect::equivalent_config(const Encoding& encoding,
                                                      bool zero_points) const {
  CompressedSpec spec;
  if (const auto* own = dynamic_cast<const CompressedEncoding*>(&encoding)) {
    spec = own->spec();
  } else {
    const RepackChoice repacked =
        compressed_spec_of(encoding, zero_points, spec);
    if (!repacked.refusal.empty()) {
      throw Error(ErrorKind::Usage, repacked.refusal);
    }
  }
  spec.layout = CodeLayout::Dense;
  spec.shape_dtype = DType::Int64;
  const std::string format(mantissa::name(spec.format));
  return std::make_shared<CompressedScheme>(format, std::move(spec));
}

constexpr const char* kMixed =
    "packed zero points among {} schemes: only Mantissa loads such a mix; "
    "Transformers loads neither by default (it fails on zero points) nor with "
    "dequantize=True (it takes the first scheme for all)";

// Loading routes of compressed-tensors 0.20 in Transformers 5.23, as measured:
// a mix loads only by default, packed zero points only with dequantize=True.
void CompressedTensorsDialect::check_plan(const PlanRequest& request,
                                          Plan& plan) const {
  const PlannedTensor* asymmetric = nullptr;
  const PlannedTensor* cast = nullptr;
  for (const PlannedTensor& planned : plan.tensors) {
    const CompressedEncoding* encoding = compressed(planned);
    if (encoding == nullptr) continue;
    if (encoding->packed() && !encoding->spec().symmetric) {
      asymmetric = asymmetric == nullptr ? &planned : asymmetric;
    }
    if (scale_is_cast(*encoding)) cast = cast == nullptr ? &planned : cast;
  }
  const auto refuse = [&](const PlannedTensor& planned,
                          const std::string& what,
                          const std::string& remedy) {
    const std::string text = fmt::format("{}: {}", planned.tensor.name, what);
    if (request.allow_unloadable) {
      plan.warnings.push_back(text);
    } else {
      plan.problems.push_back(
          {ErrorKind::Usage,
           fmt::format("{}. Remedy: {}; or --allow-unloadable writes it all "
                       "the same",
                       text,
                       remedy)});
    }
  };
  const std::size_t groups = compressed_groups(plan);
  if (groups > 1 && asymmetric != nullptr) {
    plan.loads_here_alone = true;
    refuse(*asymmetric,
           fmt::format(kMixed, groups),
           "use symmetric schemes, or one scheme for all");
  } else if (groups > 1) {
    plan.warnings.push_back(fmt::format(
        "{} schemes in one checkpoint: load it by default; "
        "CompressedTensorsConfig(dequantize=True) silently decodes all of them "
        "with the first scheme",
        groups));
  } else if (asymmetric != nullptr) {
    plan.warnings.push_back(
        "packed zero points: Transformers loads them with "
        "CompressedTensorsConfig(dequantize=True); its default load fails with "
        "compressed-tensors 0.18 to 0.20");
  }
  if (cast != nullptr) {
    const CompressedEncoding& encoding = *compressed(*cast);
    refuse(*cast,
           fmt::format("{} scales in a {} model: Transformers' default load "
                       "casts them, which changes the weights",
                       mantissa::name(encoding.scale_dtype()),
                       mantissa::name(encoding.dtype())),
           fmt::format("leave scale_dtype out, or --dtype {}",
                       mantissa::name(encoding.scale_dtype())));
  }
}

}  // namespace

std::string_view compressed_module(std::string_view tensor) {
  constexpr std::string_view kWeight = ".weight";
  if (!tensor.ends_with(kWeight)) return {};
  return tensor.substr(0, tensor.size() - kWeight.size());
}

const Dialect& compressed_tensors_dialect() {
  static const CompressedTensorsDialect kDialect;
  return kDialect;
}

}  // namespace mantissa
