// Runs models for a judge's job file.
//
// usage: models_probe JOBS.json OUT_DIR
// JOBS is a list; OUT_DIR/answers.json has an answer for each, and job i writes
// float32 arrays to OUT_DIR/i*.f32. Kinds of jobs:
//   logits      model, dtype, prompts, continue: i_PROMPT.f32 [T, vocabulary];
//               greedy continuations, and how far a cached decode is from one
//               pass over everything
//   embed       model, sentences (token ids): i.f32 [N, hidden]
//   perplexity  model, tokens, context, windows, full, bos, reference
//   generate    model, prompt, sampling, max_new_tokens, stop_tokens, context
//   sampling    logits, seen, sampling: probabilities

#include <algorithm>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>
#include <nlohmann/json.hpp>

#include <mantissa/torch/generation.h>
#include <mantissa/torch/model_loading.h>
#include <mantissa/torch/perplexity.h>
#include <mantissa/torch/sentence_encoder.h>

namespace {

using Json = nlohmann::json;
using Ids = std::vector<std::int64_t>;

mantissa::ModelOptions options_of(const Json& job) {
  const std::string word = job.value("dtype", "float32");
  mantissa::ModelOptions options;
  options.context = 512;
  if (word == "bfloat16") options.compute_dtype = c10::kBFloat16;
  if (word == "float16") options.compute_dtype = c10::kHalf;
  return options;
}

std::shared_ptr<mantissa::Decoder> decoder_of(const Json& job,
                                              const char* key = "model") {
  return mantissa::load_decoder(job.at(key).get<std::string>(),
                                options_of(job));
}

at::Tensor batch_of(const Ids& ids) {
  return at::tensor(ids, at::kLong).unsqueeze(0);
}

void write_floats(const std::string& path, const at::Tensor& values) {
  const at::Tensor plain = values.to(at::kFloat).contiguous();
  std::ofstream file(path, std::ios::binary);
  file.write(static_cast<const char*>(plain.const_data_ptr()),
             static_cast<std::streamsize>(plain.nbytes()));
}

// The greedy continuation through a cache, and the largest difference of its
// logits from those of one pass over everything.
Json continue_prompt(mantissa::Decoder& model, Ids ids, std::int64_t count) {
  const auto begin = static_cast<std::int64_t>(ids.size());
  mantissa::KvCache cache = model.make_cache(1, begin + count);
  std::vector<at::Tensor> seen = {model.forward(batch_of(ids), &cache)};
  Ids fresh;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto best =
        seen.back()[0][seen.back().size(1) - 1].argmax().item<std::int64_t>();
    fresh.push_back(best);
    ids.push_back(best);
    seen.push_back(model.forward(batch_of({best}), &cache));
  }
  const at::Tensor whole = model.forward(batch_of(ids));
  double worst = 0;
  std::int64_t at = 0;
  for (const at::Tensor& part : seen) {
    const at::Tensor other = whole.narrow(1, at, part.size(1));
    worst = std::max(worst, (part - other).abs().max().item<double>());
    at += part.size(1);
  }
  return {{"tokens", fresh}, {"cache_difference", worst}};
}

Json run_logits(const Json& job, const std::string& prefix) {
  const auto model = decoder_of(job);
  Json answers = Json::array();
  std::size_t index = 0;
  for (const Json& prompt : job.at("prompts")) {
    const auto ids = prompt.get<Ids>();
    write_floats(prefix + "_" + std::to_string(index++) + ".f32",
                 model->forward(batch_of(ids))[0]);
    answers.push_back(continue_prompt(
        *model, ids, job.at("continue").get<std::int64_t>()));
  }
  return {{"answers", answers}};
}

Json run_embed(const Json& job, const std::string& prefix) {
  const auto model = mantissa::load_sentence_encoder(
      job.at("model").get<std::string>(), options_of(job));
  write_floats(prefix + ".f32",
               model->embed(job.at("sentences").get<std::vector<Ids>>()));
  return {{"max_length", model->sentence().max_length}};
}

Json run_perplexity(const Json& job) {
  const auto model = decoder_of(job);
  const auto reference =
      job.contains("reference") ? decoder_of(job, "reference") : nullptr;
  mantissa::PerplexityOptions options;
  options.context = job.at("context").get<std::int64_t>();
  options.windows = job.value("windows", 0);
  options.batch = job.value("batch", 4);
  if (job.value("full", false)) {
    options.scored = mantissa::ScoredTokens::Full;
  }
  if (job.contains("bos")) options.bos = job.at("bos").get<std::int64_t>();
  const auto result = mantissa::perplexity(
      *model, job.at("tokens").get<Ids>(), options, reference.get());
  Json out = {{"nll", result.nll},
              {"perplexity", result.perplexity},
              {"tokens_scored", result.tokens_scored},
              {"windows", result.windows}};
  if (result.kl_divergence) out["kl"] = *result.kl_divergence;
  if (result.top1_agreement) out["top1"] = *result.top1_agreement;
  return out;
}

mantissa::SamplingOptions sampling_of(const Json& job) {
  const Json words = job.value("sampling", Json::object());
  return {.temperature = words.value("temperature", 1.0),
          .top_k = words.value("top_k", std::int64_t{0}),
          .top_p = words.value("top_p", 1.0),
          .min_p = words.value("min_p", 0.0),
          .repetition_penalty = words.value("repetition_penalty", 1.0),
          .seed = words.value("seed", std::uint64_t{0})};
}

Json run_generate(const Json& job) {
  const auto model = decoder_of(job);
  mantissa::KvCache cache =
      model->make_cache(1, job.at("context").get<std::int64_t>());
  mantissa::GenerationOptions options;
  options.sampling = sampling_of(job);
  options.max_new_tokens = job.at("max_new_tokens").get<std::int64_t>();
  options.stop_tokens = job.value("stop_tokens", Ids{});
  const auto out =
      mantissa::generate(*model, cache, job.at("prompt").get<Ids>(), options);
  return {{"tokens", out.tokens},
          {"end", static_cast<int>(out.end)},
          {"cached", cache.length()}};
}

Json run_sampling(const Json& job) {
  const mantissa::Sampler sampler(sampling_of(job));
  return {{"probabilities",
           sampler.probabilities(job.at("logits").get<std::vector<float>>(),
                                 job.at("seen").get<Ids>())}};
}

Json run(const Json& job, const std::string& prefix) {
  const std::string kind = job.at("kind").get<std::string>();
  if (kind == "logits") return run_logits(job, prefix);
  if (kind == "embed") return run_embed(job, prefix);
  if (kind == "perplexity") return run_perplexity(job);
  if (kind == "generate") return run_generate(job);
  if (kind == "sampling") return run_sampling(job);
  throw std::runtime_error("unknown kind of job: " + kind);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const c10::InferenceMode inference;
  std::ifstream file(argv[1]);
  const Json jobs = Json::parse(file);
  const std::string out = argv[2];
  Json results = Json::array();
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    try {
      results.push_back(run(jobs[i], out + "/" + std::to_string(i)));
    } catch (const std::exception& error) {
      results.push_back({{"error", error.what()}});
    }
  }
  std::ofstream(out + "/answers.json") << results;
  return 0;
}
