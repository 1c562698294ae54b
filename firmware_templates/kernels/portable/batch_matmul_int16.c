/* BATCH_MATMUL of int16, as batch_matmul_body.h has it. */
#include "batch_matmul_int16.h"

#include "int16.h"

#define FUNCTION batch_matmul_int16_portable
#define PARAMETERS struct batch_matmul_int16
#define ELEMENT int16_t
#define SUM int64_t
#define RESCALE rescale_sum
#define LOWEST INT16_MIN
#define HIGHEST INT16_MAX
#include "batch_matmul_body.h"
