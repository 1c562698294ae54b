/* Which model the harness serves, and its copy of all inputs: a run overwrites those in the arena.
 * Scheduled and compiled for the aim `balanced`.
 * Generated; to change how it looks, edit firmware_templates/model/deployed.c.j2. */
#include "model/chain.h"

const struct model *const deployed_model = &chain_model;
_Alignas(4) uint8_t deployed_input[CHAIN_INPUT_BYTES];
const uint32_t deployed_input_bytes = sizeof deployed_input;
