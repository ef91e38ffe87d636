#pragma once

// Everything of mantissa::core, which needs no libtorch.
#include <mantissa/core/dtype.h>
#include <mantissa/core/enums.h>
#include <mantissa/core/error.h>
#include <mantissa/core/granularity.h>
#include <mantissa/core/tensor_view.h>
#include <mantissa/core/worker_pool.h>
#include <mantissa/formats/encoding.h>
#include <mantissa/formats/float8_tensor.h>
#include <mantissa/formats/nf4_tensor.h>
#include <mantissa/formats/packed_embedding.h>
#include <mantissa/formats/packed_groupwise_lut.h>
#include <mantissa/formats/packed_linear.h>
#include <mantissa/formats/packed_weights_type.h>
#include <mantissa/formats/registry.h>
#include <mantissa/primitives/convert.h>
#include <mantissa/primitives/float8.h>
#include <mantissa/primitives/float_casts.h>
#include <mantissa/primitives/nf4.h>
#include <mantissa/text/chat_template.h>
#include <mantissa/text/decode_stream.h>
#include <mantissa/text/score_vocabulary.h>
#include <mantissa/text/tokenizer.h>
