/* MUL of int8, as mul_body.h has it. */
#include "mul.h"

#define FUNCTION mul_portable
#define PARAMETERS struct mul
#define ELEMENT int8_t
#include "mul_body.h"
