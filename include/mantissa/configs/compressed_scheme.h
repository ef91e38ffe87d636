#pragma once

#include <string>
#include <string_view>

#include <mantissa/configs/config.h>
#include <mantissa/formats/compressed_tensor.h>

namespace mantissa {

/// A scheme of compressed-tensors, such as W4A16: the config behind --scheme.
/// Its JSON is the scheme as config.json holds it, under the scheme's name.
class CompressedScheme final : public Config {
 public:
  CompressedScheme(std::string scheme, CompressedSpec spec);

  const CompressedSpec& spec() const { return spec_; }
  std::string_view type() const override { return scheme_; }
  std::string to_json() const override;
  void validate() const override;
  WeightChoice choose(const Shape& shape, DType dtype) const override;

 private:
  std::string scheme_;
  CompressedSpec spec_;
};

/// The scheme of a preset's name in any case, or NAME:group_size=N,observer=mse
/// (either field; mse searches for the least squared error); null when the name
/// is none. Throws Error(Usage) for a preset that this version cannot make,
/// naming one that it can, and for a group size where there are no groups.
ConfigPtr parse_compressed_scheme(std::string_view words);

/// The preset whose name is nearest to that of `words`, "" when none is near.
std::string nearest_compressed_scheme(std::string_view words);

/// The same scheme with groups of `group_size`. Throws as above.
ConfigPtr with_scheme_group_size(const ConfigPtr& scheme,
                                 std::int64_t group_size);

/// "W1A16 to W8A16, W4A16_ASYM, ...": what parse_compressed_scheme() takes.
std::string_view compressed_scheme_names();

}  // namespace mantissa
