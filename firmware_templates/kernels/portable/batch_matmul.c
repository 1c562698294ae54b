/* BATCH_MATMUL, as batch_matmul_body.h has it. */
#include "batch_matmul.h"

#define FUNCTION batch_matmul_portable
#define PARAMETERS struct batch_matmul
#define ELEMENT int8_t
#define SUM int32_t
#define RESCALE rescale
#define LOWEST INT8_MIN
#define HIGHEST INT8_MAX
#include "batch_matmul_body.h"
