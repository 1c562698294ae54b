/* Counts and cycles of one inference, by layer and by instruction, from the instructions that a front reports.
 *
 * One inference is one call of the harness's run_layers. Its first call warms the caches; the second is
 * counted. What lies between is not executed by the model, so that no count depends on the serial line.
 *
 * run_layers marks each step by a write to harness_layer. A step is one layer, or calls the functions of
 * several in turn, strip by strip: then a layer's is what runs from such a call to its return.
 */
#ifndef PROFILE_H
#define PROFILE_H

#include "cycles.h"

struct profile;

/* Read what to simulate from a file; NULL and a message in words if it cannot be read. */
struct profile *profile_open(const char *path, const char **problem);
void profile_close(struct profile *profile);

/* The instruction at an address, or NULL where the file has none. */
const struct instruction *profile_find(const struct profile *profile, uint32_t address);

/* Whether instructions from here on are part of what is simulated: a front may leave the others out. */
bool profile_wants(const struct profile *profile, uint32_t address);

/* One executed instruction, with its accesses to memory in order. */
void profile_step(struct profile *profile, const struct instruction *instruction, uint32_t next,
                  const struct access *accesses, uint32_t count);

bool profile_finished(const struct profile *profile);

/* Write the figures; false if the file cannot be written. */
bool profile_write(const struct profile *profile, const char *path);

#endif
