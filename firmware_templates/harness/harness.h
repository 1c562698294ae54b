/* The protocol server: runs the deployed model at the host's command.
 *
 * The commands are those that MLPerf Tiny's runner knows (name, profile, timestamp, db, infer, results,
 * help), each ended by `%`; a reply is lines ended by CR LF, the last of which is `m-ready`.
 *
 * A command may end in ` *SSCCCCCCCC`: a sequence number in two hex digits, and the CRC-32 of everything
 * before it. It is then obeyed only when that is right, and its reply is checked as well (console.h).
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <stdint.h>

#define HARNESS_PROTOCOL 1u
#define HARNESS_NO_LAYER 0xFFFFFFFFu

/* The layer that is running, for the record of a fault. */
extern volatile uint32_t harness_layer;

/* Calibrate the counter and greet. */
void harness_start(void);

/* Take one byte from the console; the byte `%` runs the command that it ends. */
void harness_byte(char byte);

#endif
