#include "checkpoint/architectures.h"

namespace mantissa {
namespace {

using enum TensorRole;

// Decoders: names below "model.".
constexpr NameRow kDecoder[] = {
    {"embed_tokens.weight", Embedding},
    {"layers.#.input_layernorm.weight", Norm},
    {"layers.#.post_attention_layernorm.weight", Norm},
    {"layers.#.self_attn.q_proj.weight", Linear},
    {"layers.#.self_attn.k_proj.weight", Linear},
    {"layers.#.self_attn.v_proj.weight", Linear},
    {"layers.#.self_attn.o_proj.weight", Linear},
    {"norm.weight", Norm},
};
// A buffer that old files hold and Transformers leaves out silently.
constexpr NameRow kOldRotary[] = {
    {"layers.#.self_attn.rotary_emb.inv_freq", Position},
};
constexpr NameRow kQkvBias[] = {
    {"layers.#.self_attn.q_proj.bias", Bias},
    {"layers.#.self_attn.k_proj.bias", Bias},
    {"layers.#.self_attn.v_proj.bias", Bias},
};
constexpr NameRow kOutputBias[] = {
    {"layers.#.self_attn.o_proj.bias", Bias},
};
constexpr NameRow kQkNorm[] = {
    {"layers.#.self_attn.q_norm.weight", Norm},
    {"layers.#.self_attn.k_norm.weight", Norm},
};
constexpr NameRow kMlp[] = {
    {"layers.#.mlp.gate_proj.weight", Linear},
    {"layers.#.mlp.up_proj.weight", Linear},
    {"layers.#.mlp.down_proj.weight", Linear},
};
constexpr NameRow kMlpBias[] = {
    {"layers.#.mlp.gate_proj.bias", Bias},
    {"layers.#.mlp.up_proj.bias", Bias},
    {"layers.#.mlp.down_proj.bias", Bias},
};
constexpr NameRow kFeedforwardNorms[] = {
    {"layers.#.pre_feedforward_layernorm.weight", Norm},
    {"layers.#.post_feedforward_layernorm.weight", Norm},
};

// Experts as the class holds them, and as files hold them one by one.
constexpr NameRow kFusedExperts[] = {
    {"layers.#.mlp.gate.weight", Router},
    {"layers.#.mlp.experts.gate_up_proj", Experts},
    {"layers.#.mlp.experts.down_proj", Experts},
};
constexpr std::string_view kGateUp = "layers.#.mlp.experts.gate_up_proj";
constexpr std::string_view kDown = "layers.#.mlp.experts.down_proj";
constexpr NameRow kMixtralExperts[] = {
    {"layers.#.block_sparse_moe.gate.weight",
     Router,
     "layers.#.mlp.gate.weight"},
    {"layers.#.block_sparse_moe.experts.#.w1.weight",
     Experts,
     kGateUp,
     ExpertPart::Gate},
    {"layers.#.block_sparse_moe.experts.#.w3.weight",
     Experts,
     kGateUp,
     ExpertPart::Up},
    {"layers.#.block_sparse_moe.experts.#.w2.weight",
     Experts,
     kDown,
     ExpertPart::Down},
};
constexpr NameRow kQwenExperts[] = {
    {"layers.#.mlp.experts.#.gate_proj.weight",
     Experts,
     kGateUp,
     ExpertPart::Gate},
    {"layers.#.mlp.experts.#.up_proj.weight", Experts, kGateUp, ExpertPart::Up},
    {"layers.#.mlp.experts.#.down_proj.weight",
     Experts,
     kDown,
     ExpertPart::Down},
};

// BERT: names below "bert.".
constexpr NameRow kBert[] = {
    {"embeddings.word_embeddings.weight", Embedding},
    {"embeddings.position_embeddings.weight", Position},
    {"embeddings.token_type_embeddings.weight", Position},
    {"embeddings.position_ids", Position},  // old files only
    {"embeddings.LayerNorm.weight", Norm},
    {"embeddings.LayerNorm.bias", Bias},
    {"encoder.layer.#.attention.self.query.weight", Linear},
    {"encoder.layer.#.attention.self.query.bias", Bias},
    {"encoder.layer.#.attention.self.key.weight", Linear},
    {"encoder.layer.#.attention.self.key.bias", Bias},
    {"encoder.layer.#.attention.self.value.weight", Linear},
    {"encoder.layer.#.attention.self.value.bias", Bias},
    {"encoder.layer.#.attention.output.dense.weight", Linear},
    {"encoder.layer.#.attention.output.dense.bias", Bias},
    {"encoder.layer.#.attention.output.LayerNorm.weight", Norm},
    {"encoder.layer.#.attention.output.LayerNorm.bias", Bias},
    {"encoder.layer.#.intermediate.dense.weight", Linear},
    {"encoder.layer.#.intermediate.dense.bias", Bias},
    {"encoder.layer.#.output.dense.weight", Linear},
    {"encoder.layer.#.output.dense.bias", Bias},
    {"encoder.layer.#.output.LayerNorm.weight", Norm},
    {"encoder.layer.#.output.LayerNorm.bias", Bias},
};
// LayerNorm as TensorFlow's BERT names it; Transformers renames it on load.
constexpr NameRow kBertLegacy[] = {
    {"embeddings.LayerNorm.gamma", Norm, "embeddings.LayerNorm.weight"},
    {"embeddings.LayerNorm.beta", Bias, "embeddings.LayerNorm.bias"},
    {"encoder.layer.#.attention.output.LayerNorm.gamma",
     Norm,
     "encoder.layer.#.attention.output.LayerNorm.weight"},
    {"encoder.layer.#.attention.output.LayerNorm.beta",
     Bias,
     "encoder.layer.#.attention.output.LayerNorm.bias"},
    {"encoder.layer.#.output.LayerNorm.gamma",
     Norm,
     "encoder.layer.#.output.LayerNorm.weight"},
    {"encoder.layer.#.output.LayerNorm.beta",
     Bias,
     "encoder.layer.#.output.LayerNorm.bias"},
};
constexpr NameRow kBertPooler[] = {
    {"pooler.dense.weight", Linear},
    {"pooler.dense.bias", Bias},
};

// Heads: full names.
constexpr NameRow kLmHead[] = {{"lm_head.weight", Head}};
constexpr NameRow kScore[] = {{"score.weight", Linear}, {"score.bias", Bias}};
constexpr NameRow kQaOutputs[] = {
    {"qa_outputs.weight", Linear},
    {"qa_outputs.bias", Bias},
};
constexpr NameRow kClassifier[] = {
    {"classifier.weight", Linear},
    {"classifier.bias", Bias},
};
constexpr NameRow kNextSentence[] = {
    {"cls.seq_relationship.weight", Linear},
    {"cls.seq_relationship.bias", Bias},
};
constexpr NameRow kBertLm[] = {
    {"cls.predictions.bias", Bias},
    {"cls.predictions.transform.dense.weight", Linear},
    {"cls.predictions.transform.dense.bias", Bias},
    {"cls.predictions.transform.LayerNorm.weight", Norm},
    {"cls.predictions.transform.LayerNorm.bias", Bias},
    {"cls.predictions.transform.LayerNorm.gamma",
     Norm,
     "cls.predictions.transform.LayerNorm.weight"},
    {"cls.predictions.transform.LayerNorm.beta",
     Bias,
     "cls.predictions.transform.LayerNorm.bias"},
    {"cls.predictions.decoder.weight", Head},
    {"cls.predictions.decoder.bias", Bias},
};
// BertForPreTraining has both heads.
constexpr NameRow kBertPreTraining[] = {
    kBertLm[0],
    kBertLm[1],
    kBertLm[2],
    kBertLm[3],
    kBertLm[4],
    kBertLm[5],
    kBertLm[6],
    kBertLm[7],
    kBertLm[8],
    kNextSentence[0],
    kNextSentence[1],
};

constexpr NameRows kLlamaRows[] = {
    kDecoder, kOldRotary, kQkvBias, kOutputBias, kMlp, kMlpBias};
constexpr NameRows kQwen2Rows[] = {kDecoder, kOldRotary, kQkvBias, kMlp};
constexpr NameRows kQwen3Rows[] = {
    kDecoder, kOldRotary, kQkvBias, kOutputBias, kQkNorm, kMlp};
constexpr NameRows kMistralRows[] = {kDecoder, kOldRotary, kMlp};
constexpr NameRows kGemmaRows[] = {
    kDecoder, kOldRotary, kQkvBias, kOutputBias, kMlp};
constexpr NameRows kGemma2Rows[] = {
    kDecoder, kOldRotary, kQkvBias, kOutputBias, kMlp, kFeedforwardNorms};
constexpr NameRows kGemma3Rows[] = {
    kDecoder, kQkvBias, kOutputBias, kQkNorm, kMlp, kFeedforwardNorms};
constexpr NameRows kMixtralRows[] = {
    kDecoder, kOldRotary, kFusedExperts, kMixtralExperts};
constexpr NameRows kQwen3MoeRows[] = {kDecoder,
                                      kOldRotary,
                                      kQkvBias,
                                      kOutputBias,
                                      kQkNorm,
                                      kMlp,
                                      kFusedExperts,
                                      kQwenExperts};
constexpr NameRows kBertRows[] = {kBert, kBertLegacy};

constexpr std::string_view kTokens = "embed_tokens.weight";
constexpr std::string_view kWords = "embeddings.word_embeddings.weight";
constexpr Family kLlama{"llama", "model.", kLlamaRows, false, kTokens};
constexpr Family kQwen2{"qwen2", "model.", kQwen2Rows, false, kTokens};
constexpr Family kQwen3{"qwen3", "model.", kQwen3Rows, false, kTokens};
constexpr Family kMistral{"mistral", "model.", kMistralRows, false, kTokens};
constexpr Family kGemma{"gemma", "model.", kGemmaRows, true, kTokens};
constexpr Family kGemma2{"gemma2", "model.", kGemma2Rows, true, kTokens};
constexpr Family kGemma3{"gemma3_text", "model.", kGemma3Rows, true, kTokens};
constexpr Family kMixtral{"mixtral", "model.", kMixtralRows, false, kTokens};
constexpr Family kQwen3Moe{
    "qwen3_moe", "model.", kQwen3MoeRows, false, kTokens};
constexpr Family kBertFamily{"bert", "bert.", kBertRows, true, kWords};

constexpr ClassKind kBase{false, {}, {}};
constexpr ClassKind kCausal{true, {}, kLmHead, "lm_head.weight"};
constexpr ClassKind kScored{true, {}, kScore};
constexpr ClassKind kQuestions{true, {}, kQaOutputs};
constexpr ClassKind kBertBase{false, kBertPooler, {}};
constexpr ClassKind kBertClassifier{true, kBertPooler, kClassifier};
constexpr ClassKind kBertTokens{true, {}, kClassifier};
constexpr ClassKind kBertNext{true, kBertPooler, kNextSentence};
constexpr ClassKind kBertMasked{
    true, {}, kBertLm, "cls.predictions.decoder.weight"};
constexpr ClassKind kBertBoth{
    true, kBertPooler, kBertPreTraining, "cls.predictions.decoder.weight"};

constexpr Architecture kArchitectures[] = {
    {"LlamaForCausalLM", &kLlama, &kCausal},
    {"LlamaModel", &kLlama, &kBase},
    {"LlamaForSequenceClassification", &kLlama, &kScored},
    {"LlamaForTokenClassification", &kLlama, &kScored},
    {"Qwen2ForCausalLM", &kQwen2, &kCausal},
    {"Qwen2Model", &kQwen2, &kBase},
    {"Qwen2ForSequenceClassification", &kQwen2, &kScored},
    {"Qwen2ForTokenClassification", &kQwen2, &kScored},
    {"Qwen3ForCausalLM", &kQwen3, &kCausal},
    {"Qwen3Model", &kQwen3, &kBase},
    {"Qwen3ForSequenceClassification", &kQwen3, &kScored},
    {"Qwen3ForTokenClassification", &kQwen3, &kScored},
    {"MistralForCausalLM", &kMistral, &kCausal},
    {"MistralModel", &kMistral, &kBase},
    {"MistralForSequenceClassification", &kMistral, &kScored},
    {"MistralForTokenClassification", &kMistral, &kScored},
    {"MistralForQuestionAnswering", &kMistral, &kQuestions},
    {"GemmaForCausalLM", &kGemma, &kCausal},
    {"GemmaModel", &kGemma, &kBase},
    {"GemmaForSequenceClassification", &kGemma, &kScored},
    {"GemmaForTokenClassification", &kGemma, &kScored},
    {"Gemma2ForCausalLM", &kGemma2, &kCausal},
    {"Gemma2Model", &kGemma2, &kBase},
    {"Gemma2ForSequenceClassification", &kGemma2, &kScored},
    {"Gemma2ForTokenClassification", &kGemma2, &kScored},
    {"Gemma3ForCausalLM", &kGemma3, &kCausal},
    {"Gemma3TextModel", &kGemma3, &kBase},
    {"Gemma3TextForSequenceClassification", &kGemma3, &kScored},
    {"MixtralForCausalLM", &kMixtral, &kCausal},
    {"MixtralModel", &kMixtral, &kBase},
    {"MixtralForSequenceClassification", &kMixtral, &kScored},
    {"MixtralForTokenClassification", &kMixtral, &kScored},
    {"MixtralForQuestionAnswering", &kMixtral, &kQuestions},
    {"Qwen3MoeForCausalLM", &kQwen3Moe, &kCausal},
    {"Qwen3MoeModel", &kQwen3Moe, &kBase},
    {"Qwen3MoeForSequenceClassification", &kQwen3Moe, &kScored},
    {"Qwen3MoeForTokenClassification", &kQwen3Moe, &kScored},
    {"BertModel", &kBertFamily, &kBertBase},
    {"BertForMaskedLM", &kBertFamily, &kBertMasked},
    {"BertLMHeadModel", &kBertFamily, &kBertMasked},
    {"BertForPreTraining", &kBertFamily, &kBertBoth},
    {"BertForNextSentencePrediction", &kBertFamily, &kBertNext},
    {"BertForSequenceClassification", &kBertFamily, &kBertClassifier},
    {"BertForMultipleChoice", &kBertFamily, &kBertClassifier},
    {"BertForTokenClassification", &kBertFamily, &kBertTokens},
    {"BertForQuestionAnswering", &kBertFamily, &kQuestions},
};

}  // namespace

std::span<const Architecture> architectures() { return kArchitectures; }

const Architecture* find_architecture(std::string_view name,
                                      std::string_view model_type) {
  const Architecture* by_type = nullptr;
  for (const Architecture& row : kArchitectures) {
    if (row.name == name) return &row;
    if (!by_type && row.family->model_type == model_type) by_type = &row;
  }
  return name.empty() ? by_type : nullptr;
}

}  // namespace mantissa
