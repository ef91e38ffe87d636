#pragma once

#include <string>

#include "checkpoint/plan.h"

namespace mantissa {

/// The config that config.json records: the base config alone, or an
/// FqnToConfig that holds every explicit rule and every exception of the plan.
/// The base of a request without rules, null when nothing is quantized.
ConfigPtr recorded_config(const PlanRequest& request, const Plan& plan);

/// Text of the output's config.json: the source's fields in their order, with
/// quantization_config (or without one), dtype and tie_word_embeddings as the
/// plan made them. "" when there is neither a source config nor quantization.
std::string output_config_json(const CheckpointSource& source,
                               const PlanRequest& request,
                               const Plan& plan);

}  // namespace mantissa
