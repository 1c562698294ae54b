/* What the harness needs of a target: seven functions. Each board/soc/<family>.c implements them. */
#ifndef HAL_H
#define HAL_H

#include <stdint.h>

struct hal_facts {
    const char *counter;    /* what hal_counter reads, such as "DWT CYCCNT" */
    const char *unit;       /* what one count is: "cycles", "ticks" or "ns" */
    uint32_t counter_hz;
    const char *problem;    /* "" or what went wrong in hal_init, such as "the PLL did not lock" */
    uint32_t boots;         /* resets since power-on, this one included */
    uint32_t *stack_low;    /* the stack's memory, lowest word first; null where it is not ours */
    uint32_t *stack_high;
};

/* Clock, console and counter. Every wait is bounded; what did not come is told in hal_facts()->problem. */
void hal_init(void);

/* Send bytes over the console; waits for room, but not for ever: a stuck line loses bytes. */
void hal_write(const char *bytes, uint32_t count);

/* The next byte from the console, or -1 when none came within about a second. */
int hal_read(void);

/* Counts since hal_init, in the unit of hal_facts; does not wrap within hours. */
uint64_t hal_counter(void);

const struct hal_facts *hal_facts(void);

/* What bears on time besides the code, as the registers have it now, one `tell` for each name and value:
 * `wait_states` of the flash; accelerators, which are on (1) or off; interrupts (cortex_interrupts.h). */
typedef void hal_tell(const char *name, uint32_t value);
void hal_state(hal_tell tell);

/* End a simulation with this status; on hardware, where nobody waits for it, return. */
void hal_exit(int status);

#endif
