#include "checkpoint/safetensors_header.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_set>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/core/tensor_view.h>

#include "checkpoint/strict_sax.h"
#include "core/quoted.h"

namespace mantissa {
namespace {

constexpr std::int64_t kPrefix = 8;  // the little-endian u64 N

[[noreturn]] void fail(std::string_view label, const std::string& what) {
  throw Error(ErrorKind::Input, fmt::format("{}: {}", label, what));
}

[[noreturn]] void fail(std::string_view label,
                       const HeaderEntry& tensor,
                       const std::string& what) {
  fail(label, fmt::format("tensor {}: {}", quoted_name(tensor.name), what));
}

// Collects entries while it checks keys and types; what the numbers mean is
// checked afterwards.
class HeaderSax final : public StrictSax {
 public:
  HeaderSax(std::string_view label, const HeaderLimits& limits)
      : StrictSax(fmt::format("{}: header", label)), limits_(limits) {}

  SafetensorsHeader header;

 private:
  enum class Field { None, Dtype, Shape, Offsets };

  [[noreturn]] void fail_here(const std::string& what) const {
    if (in_metadata_) fail("__metadata__: " + what);
    fail(fmt::format("tensor {}: {}", quoted_name(tensor_.name), what));
  }

  void on_begin(Container container) override {
    if (depth() == 1) return;
    if (depth() == 2) {
      if (container == Container::Object) return;
      fail_here("expected an object, got an array");
    }
    const bool list = container == Container::Array &&
                      (field_ == Field::Shape || field_ == Field::Offsets);
    if (in_metadata_ || depth() > 3 || !list) {
      fail_here(fmt::format(
          "{}: expected {}, got {}",
          quoted_name(key_),
          expected(),
          container == Container::Array ? "an array" : "an object"));
    }
    in_list_ = true;
  }

  void on_key(std::string& key) override {
    if (depth() == 1) return on_name(key);
    key_ = std::move(key);
    if (in_metadata_) {
      if (header.metadata.contains(key_)) {
        fail_here(fmt::format("duplicate key {}", quoted_name(key_)));
      }
      return;
    }
    field_ = key_ == "dtype"          ? Field::Dtype
             : key_ == "shape"        ? Field::Shape
             : key_ == "data_offsets" ? Field::Offsets
                                      : Field::None;
    if (field_ == Field::None) {
      fail_here(
          fmt::format("unknown key {}; expected dtype, shape and "
                      "data_offsets",
                      quoted_name(key_)));
    }
    const unsigned bit = 1U << static_cast<unsigned>(field_);
    if ((seen_ & bit) != 0) {
      fail_here(fmt::format("duplicate key {}", quoted_name(key_)));
    }
    seen_ |= bit;
  }

  void on_name(std::string& name) {
    in_metadata_ = name == "__metadata__";
    if (name.size() > limits_.name_bytes) {
      fail(fmt::format("tensor {}: name of {} bytes, the limit is {}",
                       quoted_name(name),
                       name.size(),
                       limits_.name_bytes));
    }
    if (!names_.insert(name).second) {
      fail(fmt::format("duplicate name {}", quoted_name(name)));
    }
    tensor_ = HeaderEntry{.name = std::move(name), .shape = {}};
    seen_ = 0;
    offsets_ = 0;
  }

  void on_scalar(JsonScalar& value) override {
    if (depth() == 1) {
      fail_here(
          fmt::format("expected an object, got {}", describe(value.kind)));
    }
    if (in_metadata_) {
      if (value.kind != JsonScalar::Kind::String) fail_kind(value.kind);
      header.metadata.emplace(std::move(key_), std::move(value.text));
    } else if (in_list_) {
      on_number(value);
    } else {
      if (field_ != Field::Dtype || value.kind != JsonScalar::Kind::String) {
        fail_kind(value.kind);
      }
      const auto dtype = dtype_from_safetensors(value.text);
      if (!dtype) {
        fail_here(fmt::format("unknown dtype {}", quoted_name(value.text)));
      }
      tensor_.dtype = *dtype;
    }
  }

  void on_number(const JsonScalar& value) {
    if (value.kind != JsonScalar::Kind::Unsigned) fail_kind(value.kind);
    if (value.number > INT64_MAX) {
      fail_here(fmt::format(
          "{}: {} does not fit 63 bits", quoted_name(key_), value.number));
    }
    const auto number = static_cast<std::int64_t>(value.number);
    if (field_ == Field::Shape) {
      if (tensor_.shape.size() == limits_.rank) {
        fail_here(fmt::format("shape: more than {} dimensions", limits_.rank));
      }
      tensor_.shape.push_back(number);
      return;
    }
    if (offsets_ == 2) fail_here("data_offsets: expected 2 numbers, got more");
    (offsets_++ == 0 ? tensor_.begin : tensor_.end) = number;
  }

  void on_end() override {
    if (depth() == 3) in_list_ = false;
    if (depth() != 2 || in_metadata_) return;
    for (const auto& [field, name] :
         {std::pair{Field::Dtype, "dtype"},
          std::pair{Field::Shape, "shape"},
          std::pair{Field::Offsets, "data_offsets"}}) {
      if ((seen_ >> static_cast<unsigned>(field) & 1U) == 0) {
        fail_here(fmt::format("{} is missing", name));
      }
    }
    if (offsets_ != 2) {
      fail_here(
          fmt::format("data_offsets: expected 2 numbers, got {}", offsets_));
    }
    if (header.tensors.size() == limits_.tensors) {
      fail(fmt::format("more than {} tensors", limits_.tensors));
    }
    header.tensors.push_back(std::move(tensor_));
  }

  std::string_view expected() const {
    if (in_metadata_ || field_ == Field::Dtype) return "a string";
    return in_list_ ? "a non-negative integer"
                    : "a list of non-negative integers";
  }

  [[noreturn]] void fail_kind(JsonScalar::Kind kind) const {
    fail_here(fmt::format("{}: expected {}, got {}",
                          quoted_name(key_),
                          expected(),
                          describe(kind)));
  }

  const HeaderLimits& limits_;
  std::unordered_set<std::string> names_;
  HeaderEntry tensor_;
  std::string key_;
  Field field_ = Field::None;
  unsigned seen_ = 0;
  int offsets_ = 0;
  bool in_metadata_ = false;
  bool in_list_ = false;
};

void check_size(std::string_view label, const HeaderEntry& tensor) {
  std::int64_t bytes = 0;
  try {
    bytes = byte_count(tensor.dtype, tensor.shape);
  } catch (const Error& error) {
    fail(label, tensor, error.what());
  }
  if (tensor.begin > tensor.end) {
    fail(label,
         tensor,
         fmt::format("data_offsets [{}, {}] end before they begin",
                     tensor.begin,
                     tensor.end));
  }
  if (tensor.end - tensor.begin != bytes) {
    fail(label,
         tensor,
         fmt::format("{} {} takes {} bytes, data_offsets hold {}",
                     safetensors_name(tensor.dtype),
                     to_string(tensor.shape),
                     bytes,
                     tensor.end - tensor.begin));
  }
}

void check_layout(std::string_view label,
                  const SafetensorsHeader& header,
                  std::int64_t file_size) {
  std::int64_t end = 0;
  for (const HeaderEntry& tensor : header.tensors) {
    if (tensor.begin != end) {
      fail(label,
           tensor,
           fmt::format("data begins at {}, expected {}: {}",
                       tensor.begin,
                       end,
                       tensor.begin > end ? "a hole in the data"
                                          : "it overlaps the tensor before"));
    }
    end = tensor.end;
  }
  const std::int64_t data = file_size - header.data_start;
  if (end != data) {
    fail(label,
         fmt::format("the header describes {} bytes of data, the file holds "
                     "{}: {}",
                     end,
                     data,
                     end > data ? "it is truncated; fetch it again"
                                : "bytes are left over; it was appended to or "
                                  "is damaged"));
  }
}

}  // namespace

std::int64_t header_extent(std::span<const std::byte> first_bytes,
                           std::int64_t file_size,
                           std::string_view label,
                           const HeaderLimits& limits) {
  if (file_size < kPrefix || first_bytes.size() < std::size_t{kPrefix}) {
    fail(
        label,
        fmt::format("{} bytes: too short for a safetensors header", file_size));
  }
  std::uint64_t size = 0;
  std::memcpy(&size, first_bytes.data(), sizeof(size));
  static_assert(std::endian::native == std::endian::little);
  if (size > static_cast<std::uint64_t>(limits.header_bytes)) {
    fail(label,
         fmt::format("header of {} bytes, the limit is {}; not a safetensors "
                     "file?",
                     size,
                     limits.header_bytes));
  }
  const std::int64_t extent = kPrefix + static_cast<std::int64_t>(size);
  if (extent > file_size) {
    fail(label,
         fmt::format("header of {} bytes in a file of {} bytes: it is "
                     "truncated; fetch it again",
                     size,
                     file_size));
  }
  return extent;
}

SafetensorsHeader parse_header(std::span<const std::byte> bytes,
                               std::int64_t file_size,
                               std::string_view label,
                               const HeaderLimits& limits) {
  const std::int64_t extent = header_extent(bytes, file_size, label, limits);
  if (static_cast<std::int64_t>(bytes.size()) < extent) {
    fail(label, "the header is not complete");
  }
  std::string_view text(reinterpret_cast<const char*>(bytes.data()) + kPrefix,
                        static_cast<std::size_t>(extent - kPrefix));
  if (!text.starts_with('{')) fail(label, "the header does not begin with {");
  const std::size_t last = text.find_last_not_of(' ');
  text = text.substr(0, last + 1);
  if (!text.ends_with('}')) {
    fail(label, "the header ends with something else than } and spaces");
  }
  HeaderSax sax(label, limits);
  sax.parse(text);
  SafetensorsHeader header = std::move(sax.header);
  header.data_start = extent;
  for (const HeaderEntry& tensor : header.tensors) check_size(label, tensor);
  std::ranges::stable_sort(header.tensors, {}, [](const HeaderEntry& tensor) {
    return std::pair(tensor.begin, tensor.end);
  });
  check_layout(label, header, file_size);
  return header;
}

}  // namespace mantissa
