#include "cycles.h"

#include <string.h>

#define NO_BLOCK 1u             /* no block starts at an odd address */

static const uint32_t DIVIDE_CYCLES = 6;        /* TRM: 2 to 12, by the operands; taken in between */
static const uint32_t WIDE_RUN = 3;             /* fitted: the third in a row costs one more */

static bool within(const struct region *region, uint32_t address)
{
    return address - region->origin < region->bytes;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* ---- flash (RM0432, "Adaptive real-time memory accelerator") -------------------------------------- */

/* The first of the lines that may hold a block; it is followed by the others of its set. */
static uint32_t first_line(const struct port *port, uint32_t tag)
{
    return tag / port->line_bytes % (port->lines / port->ways) * port->ways;
}

static int find_line(const struct port *port, uint32_t tag)
{
    uint32_t first;

    if (port->lines == 0)
        return -1;
    if (port->valid[port->recent] != 0 && port->tag[port->recent] == tag)
        return (int)port->recent;
    first = first_line(port, tag);
    for (uint32_t i = first; i < first + port->ways; i++)
        if (port->valid[i] != 0 && port->tag[i] == tag)
            return (int)i;
    return -1;
}

static uint32_t block_bit(const struct memory *memory, uint32_t address)
{
    return 1u << (address % memory->line_bytes / memory->read_bytes);
}

static bool is_cached(const struct memory *memory, const struct port *port, uint32_t address)
{
    int line = find_line(port, address - address % memory->line_bytes);

    return line >= 0 && (port->valid[line] & block_bit(memory, address)) != 0;
}

/* The line that is empty, else the one not used for the longest time (RM0432: least recently used). */
static uint32_t victim(const struct port *port, uint32_t tag)
{
    uint32_t first = first_line(port, tag), oldest = first;

    for (uint32_t i = first; i < first + port->ways; i++) {
        if (port->valid[i] == 0)
            return i;
        if (port->used[i] < port->used[oldest])
            oldest = i;
    }
    return oldest;
}

/* Put a block into the cache; only what was read is filled in, not the line (fitted: filling whole lines
 * would slow down every published run). */
static void fill(const struct memory *memory, struct port *port, uint32_t address)
{
    uint32_t tag = address - address % memory->line_bytes;
    int line = find_line(port, tag);

    if (port->lines == 0)
        return;
    if (line < 0) {
        line = (int)victim(port, tag);
        port->tag[line] = tag;
        port->valid[line] = 0;
    }
    port->valid[line] |= block_bit(memory, address);
    port->used[line] = ++port->clock;
    port->recent = (uint32_t)line;
}

/* When the block of `address` is there, asked for at `time`. */
static uint64_t read_flash(struct machine *machine, struct port *port, uint32_t address, uint64_t time)
{
    const struct memory *memory = &machine->memory;
    uint32_t block = address - address % memory->read_bytes;

    if (memory->wait_states == 0 || port->current == block)
        return time;
    port->current = block;
    if (is_cached(memory, port, address)) {
        fill(memory, port, address);
        return time;
    }
    fill(memory, port, address);
    port->misses++;
    /* A read in progress, of the other port or ahead, is not interrupted. */
    time = later(time, machine->array_free) + port->miss_cycles;
    machine->array_free = time + 1;
    return time;
}

/* The next block is read ahead as soon as the array is free, if it is not in the cache (RM0432, "Instruction
 * prefetch"). */
static void read_ahead(struct machine *machine, uint32_t block, uint64_t time)
{
    const struct memory *memory = &machine->memory;

    if (machine->prefetched == block || is_cached(memory, &machine->instructions, block))
        return;
    machine->prefetched = block;
    machine->prefetch_ready = later(time + 1, machine->array_free) + machine->instructions.miss_cycles;
    machine->array_free = machine->prefetch_ready + 1;
}

static uint64_t fetch_from_flash(struct machine *machine, uint32_t address, uint64_t time)
{
    const struct memory *memory = &machine->memory;
    struct port *port = &machine->instructions;
    uint32_t block = address - address % memory->read_bytes;
    uint64_t ready;

    if (!memory->prefetch || memory->wait_states == 0)
        return read_flash(machine, port, address, time);
    if (machine->prefetched == block && port->current != block && !is_cached(memory, port, address)) {
        port->current = block;
        machine->prefetched = NO_BLOCK;
        fill(memory, port, address);
        ready = later(time, machine->prefetch_ready);
    } else {
        ready = read_flash(machine, port, address, time);
    }
    read_ahead(machine, block + memory->read_bytes, ready);
    return ready;
}

/* ---- fetch queue --------------------------------------------------------------------------------- */

static bool is_fetched_at_once(const struct machine *machine, uint32_t address)
{
    for (uint32_t i = 0; i < machine->memory.fetch_ram_count; i++)
        if (within(&machine->memory.fetch_ram[i], address))
            return true;
    return false;
}

/* One aligned word a cycle (TRM, "Bus interfaces": all instruction fetches are of words). */
static void fetch_word(struct machine *machine, uint64_t not_before)
{
    uint32_t address = machine->queue_address + 4u * machine->queue_words;
    uint64_t ready = later(machine->fetch_free, not_before);

    if (!machine->flat) {
        if (within(&machine->memory.flash, address))
            ready = fetch_from_flash(machine, address, ready);
        else if (!is_fetched_at_once(machine, address))
            ready += 1;     /* through the system bus, which registers requests */
    }
    machine->fetch_free = ready + 1;
    machine->arrival[machine->queue_words++] = ready + 1;
}

static void drop_words_before(struct machine *machine, uint32_t address)
{
    uint32_t dropped = 0;

    while (dropped < machine->queue_words && machine->queue_address + 4u <= address) {
        machine->queue_address += 4u;
        dropped++;
    }
    if (dropped != 0) {
        machine->queue_words -= dropped;
        memmove(machine->arrival, machine->arrival + dropped, machine->queue_words * sizeof machine->arrival[0]);
    }
}

static void restart_queue(struct machine *machine, uint32_t address, uint64_t time)
{
    machine->queue_address = address & ~3u;
    machine->queue_words = 0;
    machine->fetch_free = later(machine->fetch_free, time);
}

static void run_ahead(struct machine *machine, uint64_t from, uint64_t until)
{
    while (machine->queue_words < QUEUE_WORDS && machine->fetch_free < until)
        fetch_word(machine, from);
}

/* When all of the instruction has been fetched and decoded. */
static uint64_t fetched(struct machine *machine, const struct instruction *instruction)
{
    uint32_t last = (instruction->address + instruction->bytes - 1u) & ~3u;

    if (machine->next != instruction->address)
        restart_queue(machine, instruction->address, machine->now);
    drop_words_before(machine, instruction->address);
    while (machine->queue_address + 4u * machine->queue_words <= last)
        fetch_word(machine, 0);
    return machine->arrival[(last - machine->queue_address) / 4u] + 1;
}

/* ---- execution (Cortex-M4 TRM, ARM DDI 0439, "Instruction set summary", "Load/store timings" and, for the
 * VFP, "FPU instruction timings") ------------------------------------------------------------------ */

/* An unaligned halfword is two accesses; a word is two at an even address, three at an odd one. */
static uint32_t unaligned_cycles(const struct access *access)
{
    if (access->bytes == 2)
        return access->address & 1u;
    if (access->bytes != 4 || access->address % 4u == 0)
        return 0;
    return access->address & 1u ? 2 : 1;
}

/* Cycles that data from flash are late when asked for at `time`. */
static uint32_t data_wait(struct machine *machine, const struct access *access, uint64_t time)
{
    struct port *port = machine->memory.unified ? &machine->instructions : &machine->data;
    uint32_t last = access->address + access->bytes - 1u;
    uint64_t ready;

    if (machine->flat || !within(&machine->memory.flash, access->address))
        return 0;
    ready = read_flash(machine, port, access->address, time);
    if ((access->address ^ last) >= machine->memory.read_bytes)
        return (uint32_t)(read_flash(machine, port, last, ready + 1) - time - 1);
    return (uint32_t)(ready - time);
}

static struct cost execute(struct machine *machine, const struct instruction *instruction, uint64_t start,
                           const struct access *accesses, uint32_t count)
{
    struct cost cost = {.cycles = 1};
    bool skipped = count == 0;
    bool follows_load;

    switch (instruction->class) {
    case LOAD:
    case VFP_LOAD:
        if (skipped)
            break;
        /* Pipelined behind another single load, unless that one loads this one's base. */
        follows_load = machine->after_load
                       && !(machine->loaded >= 0 && instruction->bases >> machine->loaded & 1u);
        cost.cycles = (follows_load ? 1u : 2u) + instruction->words - 1u;
        for (uint32_t i = 0; i < count; i++) {
            cost.cycles += unaligned_cycles(&accesses[i]);
            cost.data_stall += data_wait(machine, &accesses[i], start + !follows_load + i);
        }
        break;
    case STORE_IMMEDIATE:
        if (!skipped)
            cost.cycles = 1 + unaligned_cycles(&accesses[0]);
        break;
    case STORE_REGISTER:
        if (!skipped)
            cost.cycles = machine->after_load ? 1 : 2;
        break;
    case VFP_STORE:
        if (!skipped)
            cost.cycles = machine->after_load ? instruction->words : instruction->words + 1u;
        break;
    case LOAD_MULTIPLE:
    case LOAD_MULTIPLE_PC:
    case LOAD_PC:
        if (skipped)
            break;
        cost.cycles = instruction->class == LOAD_PC ? 2 : 1u + instruction->words;
        for (uint32_t i = 0; i < count; i++)
            cost.data_stall += data_wait(machine, &accesses[i], start + 1 + i + cost.data_stall);
        break;
    case STORE_MULTIPLE:
        if (!skipped)
            cost.cycles = 1u + instruction->words;
        break;
    case DIVIDE:
        cost.cycles = DIVIDE_CYCLES;
        break;
    case IF_THEN:                       /* folded into a 16-bit instruction before it */
        cost.cycles = machine->previous_bytes == 2 ? 0 : 1;
        break;
    case VFP_MULTIPLY_ADD:
        cost.cycles = 3;
        break;
    case VFP_DIVIDE:                    /* and square root */
        cost.cycles = 14;
        break;
    case VFP_MOVE_TWO:
        cost.cycles = 2;
        break;
    case TABLE_BRANCH:
        cost.cycles = 2;
        if (!skipped)
            cost.data_stall = data_wait(machine, &accesses[0], start + 1);
        break;
    default:
        break;
    }
    /* The result of VFP arithmetic is there one cycle later (TRM, FPU). */
    if (machine->vfp_result >= 0 && machine->vfp_result < 32
        && instruction->vfp_operands >> machine->vfp_result & 1u)
        cost.cycles++;
    /* A base register written by the instruction just before is one cycle late (fitted). */
    if (!skipped && machine->written & instruction->bases)
        cost.cycles++;
    return cost;
}

/* What the following instructions have to know of this one. */
static void remember(struct machine *machine, const struct instruction *instruction, bool skipped)
{
    machine->after_load = !skipped && instruction->words == 1
                          && (instruction->class == LOAD || instruction->class == VFP_LOAD);
    machine->loaded = instruction->loaded;
    machine->vfp_result = instruction->vfp_result;
    machine->written = instruction->written;
    machine->previous_bytes = instruction->bytes;
}

void machine_start(struct machine *machine, const struct memory *memory, bool flat)
{
    memset(machine, 0, sizeof *machine);
    machine->memory = *memory;
    machine->flat = flat;
    machine->next = NO_BLOCK;
    machine->instructions = (struct port){
        .lines = memory->instruction_lines,
        .ways = memory->instruction_ways != 0 ? memory->instruction_ways : memory->instruction_lines,
        .line_bytes = memory->line_bytes,
        .miss_cycles = memory->wait_states + memory->fetch_miss_extra,
        .current = NO_BLOCK};
    machine->data = (struct port){
        .lines = memory->data_lines,
        .ways = memory->data_ways != 0 ? memory->data_ways : memory->data_lines,
        .line_bytes = memory->line_bytes,
        .miss_cycles = memory->wait_states + memory->data_miss_extra,
        .current = NO_BLOCK};
    machine->prefetched = NO_BLOCK;
    machine->loaded = machine->vfp_result = -1;
}

struct cost machine_step(struct machine *machine, const struct instruction *instruction, uint32_t next,
                         const struct access *accesses, uint32_t count)
{
    bool taken = next != instruction->address + instruction->bytes;
    uint64_t begin = machine->now, missed = machine->data.misses;
    uint64_t start = later(begin, fetched(machine, instruction));
    struct cost cost = execute(machine, instruction, start, accesses, count);
    uint64_t end;

    if (instruction->bytes == 4 && instruction->address % 4u == 2) {
        if (++machine->unaligned_wide == WIDE_RUN)
            cost.cycles++;
    } else {
        machine->unaligned_wide = 0;
    }
    end = start + cost.cycles + cost.data_stall;
    remember(machine, instruction, count == 0);
    if (taken) {
        /* The queue fills until the branch is decided, in its last cycle, and is then thrown away. A
         * target in a register is known one cycle later than one in the instruction. */
        machine->unaligned_wide = 0;
        run_ahead(machine, start, end - 1);
        restart_queue(machine, next, end - 1 + (instruction->class != BRANCH));
    } else {
        drop_words_before(machine, next);
        run_ahead(machine, start, end);
    }
    machine->next = next;
    machine->now = end;
    cost.cycles = (uint32_t)(end - begin);
    cost.data_misses = (uint32_t)(machine->data.misses - missed);
    return cost;
}
