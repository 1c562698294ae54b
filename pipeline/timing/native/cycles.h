/* Clock cycles of a Cortex-M4 (or of a core that is taken for one: docs/timing.md) that executes from the flash of an STM32: one instruction after the other,
 * through the core's pipeline, its fetch queue, and the flash interface with its two caches.
 *
 * Nothing here knows of files or simulators: a front calls machine_step() for each executed instruction.
 * docs/timing.md names the source of every rule.
 */
#ifndef CYCLES_H
#define CYCLES_H

#include <stdbool.h>
#include <stdint.h>

#define MOST_LINES   512    /* of one cache */
#define MOST_REGIONS 8
#define QUEUE_WORDS  3      /* the core's fetch queue */

/* What decides an instruction's cost; pipeline/timing/instructions.py uses the same numbers. */
enum instruction_class {
    ALU,                    /* and multiplies, MLA, DSP, everything else of one cycle */
    LOAD,
    STORE_IMMEDIATE,        /* base, or base and immediate */
    STORE_REGISTER,         /* base and index register */
    LOAD_MULTIPLE,          /* LDM, POP, LDRD, VLDM */
    STORE_MULTIPLE,         /* STM, PUSH, STRD, VSTM */
    BRANCH,                 /* to an address in the instruction */
    BRANCH_INDIRECT,        /* to an address in a register */
    DIVIDE,
    IF_THEN,
    VFP,
    VFP_MULTIPLY_ADD,
    VFP_DIVIDE,
    VFP_LOAD,
    VFP_STORE,
    VFP_MOVE_TWO,           /* two core registers to or from the VFP */
    TABLE_BRANCH,
    LOAD_PC,
    LOAD_MULTIPLE_PC,
    INSTRUCTION_CLASSES
};

struct instruction {
    uint32_t address;
    uint8_t bytes;          /* 2 or 4 */
    uint8_t class;
    uint8_t words;          /* moved between memory and registers */
    int8_t loaded;          /* core register that a single load writes; -1: none */
    int8_t vfp_result;      /* single register that VFP arithmetic writes; -1: none */
    uint32_t bases;         /* core registers that make up the address */
    uint32_t written;       /* core registers that an ALU instruction writes */
    uint32_t vfp_operands;  /* single registers that are read */
};

struct access {
    uint32_t address;
    uint8_t bytes;
    bool store;
};

struct region {
    uint32_t origin, bytes;
};

struct memory {
    struct region flash;
    uint32_t wait_states;           /* 0: flash is as fast as RAM */
    uint32_t fetch_miss_extra;      /* cycles of an instruction miss on top of the wait states */
    uint32_t data_miss_extra;       /* the same of a data miss */
    uint32_t read_bytes;            /* that flash delivers at a time */
    uint32_t line_bytes;
    uint32_t instruction_lines;     /* 0: no cache */
    uint32_t data_lines;
    uint32_t instruction_ways;      /* lines that an address may be in; 0: all of them */
    uint32_t data_ways;
    bool unified;                   /* data go through the instruction cache */
    bool prefetch;
    struct region fetch_ram[MOST_REGIONS];  /* reached by the instruction bus without waiting */
    uint32_t fetch_ram_count;
};

/* One of the two ways from the core to flash: a buffer of what was read last, and a cache. */
struct port {
    uint32_t lines, ways, line_bytes, miss_cycles;
    uint32_t current;               /* address of the block in the buffer */
    uint32_t recent;                /* line that was used last */
    uint64_t clock;
    uint64_t misses;                /* reads that had to wait for the flash array, each miss_cycles */
    uint32_t tag[MOST_LINES];
    uint32_t valid[MOST_LINES];     /* a bit for each block of the line */
    uint64_t used[MOST_LINES];
};

struct machine {
    struct memory memory;
    bool flat;                      /* all memory answers at once: the zero-wait cycles */

    uint64_t now;                   /* the next instruction can start */
    uint32_t next;                  /* address of the instruction that is expected */

    uint64_t fetch_free;            /* the instruction bus can take the next request */
    uint64_t arrival[QUEUE_WORDS + 1];
    uint32_t queue_address, queue_words;

    struct port instructions, data;
    uint64_t array_free;            /* both ports share the flash array */
    uint32_t prefetched;            /* address of the block that was read ahead */
    uint64_t prefetch_ready;

    bool after_load;                /* the instruction before was a single load */
    int loaded;
    int vfp_result;
    uint32_t written;
    uint32_t previous_bytes;
    uint32_t unaligned_wide;        /* consecutive 32-bit instructions at address % 4 = 2 */
};

/* What one instruction took. */
struct cost {
    uint32_t cycles;                /* from the end of the one before to its own end */
    uint32_t data_stall;            /* of them waiting for data from flash */
    uint32_t data_misses;           /* reads of the data port that its cache did not have */
};

void machine_start(struct machine *machine, const struct memory *memory, bool flat);

/* Execute one instruction. `next` is the address of the one after it; without accesses a load or store
 * was skipped by its condition. */
struct cost machine_step(struct machine *machine, const struct instruction *instruction, uint32_t next,
                         const struct access *accesses, uint32_t count);

#endif
