#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <torch/nn/module.h>

#include <mantissa/core/api.h>
#include <mantissa/torch/model_loading.h>

namespace mantissa {

/// A BERT encoder (BertModel without its pooler) as its config.json says.
struct BertConfig {
  std::int64_t vocabulary = 0;
  std::int64_t hidden = 0;
  std::int64_t intermediate = 0;
  std::int64_t heads = 0;
  std::int64_t layers = 0;
  std::int64_t positions = 0;  ///< max_position_embeddings
  std::int64_t types = 2;      ///< type_vocab_size
  double norm_eps = 1e-12;
  Activation activation = Activation::Gelu;
};

/// Reads a config.json of model_type bert and class BertModel. Throws
/// Error(Usage) for what is not supported, Error(Input) for malformed keys.
MANTISSA_API BertConfig read_bert_config(std::string_view config_json);

/// How token vectors become one vector of a sentence.
enum class Pooling {
  Mean,      ///< over the tokens that are not padding
  Cls,       ///< the first token
  Max,       ///< the largest of every component
  MeanSqrt,  ///< the sum over the square root of the number of tokens
};

/// What stands around the encoder in sentence-transformers' files.
struct SentenceConfig {
  Pooling pooling = Pooling::Mean;
  bool normalize = false;       ///< divided by the L2 norm
  std::int64_t max_length = 0;  ///< tokens of a sentence, special ones included
  /// Stands before every sentence: the default prompt, mostly empty.
  std::string prompt;
  /// Whether sentences are put in lower case before the tokenizer has them.
  bool lower_case = false;
};

class BertStack;

/// Sentence embeddings of a BERT model: encoder, pooling and normalization by
/// modules.json, 1_Pooling/config.json and sentence_bert_config.json.
class MANTISSA_API SentenceEncoder : public torch::nn::Module {
 public:
  /// A model whose parameters have no storage: load_sentence_encoder() makes
  /// one that runs.
  SentenceEncoder(const BertConfig& bert,
                  const SentenceConfig& sentence,
                  c10::ScalarType dtype);

  const BertConfig& config() const { return config_; }
  const SentenceConfig& sentence() const { return sentence_; }
  /// The encoder, whose parameters have the names of BertModel.
  BertStack& stack() { return *stack_; }

  /// Token vectors [B, T, hidden] of ids [B, T] (int64); `mask` [B, T] is 1 for
  /// tokens and 0 for padding.
  at::Tensor forward(const at::Tensor& ids, const at::Tensor& mask);
  /// One vector [hidden] each, stacked, float32: sentences as token ids with
  /// their special tokens, `batch` in a pass. Throws c10::ValueError for an
  /// empty sentence, one of more than sentence().max_length tokens and ids
  /// outside the vocabulary.
  at::Tensor embed(const std::vector<std::vector<std::int64_t>>& sentences,
                   std::int64_t batch = 32);

 private:
  at::Tensor pool(const at::Tensor& tokens, const at::Tensor& mask) const;
  at::Tensor embed_batch(
      const std::vector<std::vector<std::int64_t>>& sentences,
      std::size_t begin,
      std::size_t end);

  BertConfig config_;
  SentenceConfig sentence_;
  std::shared_ptr<BertStack> stack_;
};

/// Loads a sentence-transformers directory, or a plain BertModel, which is
/// pooled by the mean and not normalized, as sentence-transformers does. Of the
/// options, context and batch have no meaning. Throws what DecoderCheckpoint
/// throws.
MANTISSA_API std::shared_ptr<SentenceEncoder> load_sentence_encoder(
    const std::filesystem::path& path, const ModelOptions& options = {});

}  // namespace mantissa
