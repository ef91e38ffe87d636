#include <mantissa/core/granularity.h>

#include <mantissa/core/error.h>
#include <mantissa/core/tensor_view.h>

namespace mantissa {
namespace {

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};

[[noreturn]] void throw_misfit(const Granularity& granularity,
                               const Shape& shape,
                               const std::string& why) {
  throw Error(ErrorKind::Usage,
              to_string(granularity) + " does not fit shape " +
                  to_string(shape) + ": " + why);
}

std::size_t wrap_dim(std::int64_t dim,
                     const Granularity& granularity,
                     const Shape& shape) {
  const auto rank = static_cast<std::int64_t>(shape.size());
  if (dim < -rank || dim >= rank) {
    throw_misfit(
        granularity, shape, "dimension " + std::to_string(dim) + " is outside");
  }
  return static_cast<std::size_t>(dim < 0 ? dim + rank : dim);
}

Shape per_block(const PerBlock& block, const Shape& shape) {
  if (block.block_size.size() > shape.size()) {
    throw_misfit(block, shape, "the block has more dimensions");
  }
  Shape out(shape.size() - block.block_size.size(), 1);
  out.insert(out.end(), block.block_size.begin(), block.block_size.end());
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (out[i] < 1 || shape[i] % out[i] != 0) {
      throw_misfit(block,
                   shape,
                   "extent " + std::to_string(shape[i]) +
                       " is not a multiple of " + std::to_string(out[i]));
    }
  }
  return out;
}

Shape per_group(const PerGroup& group, const Shape& shape) {
  Shape out(shape.size(), 1);
  if (shape.empty() || group.group_size < 1 ||
      shape.back() % group.group_size != 0) {
    throw_misfit(group, shape, "the last extent is not a multiple");
  }
  out.back() = group.group_size;
  return out;
}

}  // namespace

Shape block_size(const Granularity& granularity, const Shape& shape) {
  return std::visit(Overloaded{
                        [&](const PerTensor&) { return shape; },
                        [&](const PerAxis& g) {
                          Shape out = shape;
                          out[wrap_dim(g.axis, g, shape)] = 1;
                          return out;
                        },
                        [&](const PerRow& g) {
                          Shape out(shape.size(), 1);
                          const std::size_t dim = wrap_dim(g.dim, g, shape);
                          out[dim] = shape[dim];
                          return out;
                        },
                        [&](const PerToken&) {
                          Shape out(shape.size(), 1);
                          if (!shape.empty()) out.back() = shape.back();
                          return out;
                        },
                        [&](const PerGroup& g) { return per_group(g, shape); },
                        [&](const PerBlock& g) { return per_block(g, shape); },
                    },
                    granularity);
}

std::string to_string(const Granularity& granularity) {
  return std::visit(
      Overloaded{
          [](const PerTensor&) { return std::string("PerTensor()"); },
          [](const PerAxis& g) {
            return "PerAxis(" + std::to_string(g.axis) + ")";
          },
          [](const PerRow& g) {
            return g.dim == -1 ? std::string("PerRow()")
                               : "PerRow(" + std::to_string(g.dim) + ")";
          },
          [](const PerToken&) { return std::string("PerToken()"); },
          [](const PerGroup& g) {
            return "PerGroup(" + std::to_string(g.group_size) + ")";
          },
          [](const PerBlock& g) {
            return "PerBlock(" + to_string(g.block_size) + ")";
          },
      },
      granularity);
}

}  // namespace mantissa
