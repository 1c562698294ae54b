/* Counts the instructions that Unicorn executes: a hook that it calls at the start of each of its blocks.
 *
 * Unicorn's own count leaves out the instructions that an IT skips. A core takes them from its pipeline all
 * the same, and QEMU counts them; so all instructions of a block count, but for the block that is under way,
 * which counts up to its program counter.
 */
#include "count.h"

#define SLOTS 65536u

struct slot {
    uint32_t address, bytes, instructions;
};

struct counter {
    uint64_t done;              /* in blocks that are over */
    uint32_t address, bytes;    /* of the block under way */
    struct slot slots[SLOTS];
    uint32_t region_count;
    struct region {
        uint32_t origin, bytes;
        const uint8_t *memory;
    } regions[16];
};

static struct counter counter;

/* ARMv7-M A5.1: 0b11101, 0b11110 and 0b11111 begin an instruction of 32 bits. */
static uint32_t count_halfwords(uint32_t address, uint32_t bytes)
{
    uint32_t instructions = 0;

    for (uint32_t k = 0; k < counter.region_count; k++) {
        const struct region *region = &counter.regions[k];

        if (address - region->origin >= region->bytes || bytes > region->bytes - (address - region->origin))
            continue;
        for (const uint8_t *next = region->memory + (address - region->origin), *end = next + bytes; next < end;) {
            next += next[1] >> 3 >= 0x1Du ? 4 : 2;
            instructions++;
        }
        break;
    }
    return instructions;
}

static uint32_t in_block(uint32_t address, uint32_t bytes)
{
    struct slot *slot = &counter.slots[(address >> 1) % SLOTS];

    if (slot->address != address || slot->bytes != bytes) {
        slot->address = address;
        slot->bytes = bytes;
        slot->instructions = count_halfwords(address, bytes);
    }
    return slot->instructions;
}

void count_reset(void)
{
    counter = (struct counter){0};
}

int count_region(uint32_t origin, uint32_t bytes, const uint8_t *memory)
{
    if (counter.region_count == sizeof counter.regions / sizeof counter.regions[0])
        return 0;
    counter.regions[counter.region_count++] = (struct region){origin, bytes, memory};
    return 1;
}

void count_block(void *engine, uint64_t address, uint32_t bytes, void *context)
{
    (void)engine;
    (void)context;
    if (counter.bytes != 0u)
        counter.done += in_block(counter.address, counter.bytes);
    counter.address = (uint32_t)address;
    counter.bytes = bytes;
}

uint64_t count_until(uint32_t pc)
{
    uint32_t ahead = pc - counter.address;

    return counter.done + (ahead < counter.bytes ? count_halfwords(counter.address, ahead) + 1u : 0u);
}
