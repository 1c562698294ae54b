/* The profile as a plugin of QEMU's TCG: `-plugin FILE,table=...,out=...`.
 *
 * Of qemu-plugin.h, which distributions do not ship, the few declarations that are used; they are the same
 * from API 1 (QEMU 7.2) to 5 (QEMU 10). A block of instructions reports itself when it starts and each of
 * its accesses to memory; when the next block starts, the one before is complete.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profile.h"

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info;

enum { CB_NO_REGS = 0, MEM_RW = 3 };

extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                                  void (*callback)(qemu_plugin_id_t, struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, void (*callback)(unsigned, void *),
                                                 int flags, void *user);
extern void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn,
                                             void (*callback)(unsigned, uint32_t, uint64_t, void *), int flags,
                                             int rw, void *user);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
extern unsigned qemu_plugin_mem_size_shift(uint32_t info);
extern bool qemu_plugin_mem_is_store(uint32_t info);

/* API 1 for QEMU before 9, 2 from there on: given by whoever compiles this. */
EXPORT int qemu_plugin_version = PLUGIN_API;
EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc, char **argv);

#define MOST_ACCESSES 16384u    /* of one block */

struct block {
    uint32_t address, count;
    const struct instruction *instructions[];
};

static struct profile *profile;
static char *output;
static const struct block *pending;
static struct access accesses[MOST_ACCESSES];
static uint32_t access_owner[MOST_ACCESSES];    /* index of the instruction in its block */
static uint32_t access_count;

static void finish_pending(uint32_t next)
{
    uint32_t first = 0;

    for (uint32_t i = 0; i < pending->count; i++) {
        uint32_t last = first;
        uint32_t following = i + 1u < pending->count ? pending->instructions[i + 1u]->address : next;

        while (last < access_count && access_owner[last] == i)
            last++;
        profile_step(profile, pending->instructions[i], following, &accesses[first], last - first);
        first = last;
    }
    if (profile_finished(profile) && !profile_write(profile, output))
        fprintf(stderr, "timing: %s cannot be written\n", output);
}

static void on_block(unsigned cpu, void *user)
{
    const struct block *block = user;

    (void)cpu;
    if (pending != NULL)
        finish_pending(block->address);
    pending = profile_wants(profile, block->address) ? block : NULL;
    access_count = 0;
}

static void on_access(unsigned cpu, uint32_t info, uint64_t address, void *user)
{
    (void)cpu;
    if (pending == NULL)
        return;
    if (access_count == MOST_ACCESSES) {
        fputs("timing: more accesses in one block than expected\n", stderr);
        _Exit(1);
    }
    accesses[access_count] = (struct access){
        (uint32_t)address, (uint8_t)(1u << qemu_plugin_mem_size_shift(info)), qemu_plugin_mem_is_store(info)};
    access_owner[access_count++] = (uint32_t)(uintptr_t)user;
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    uint32_t count = (uint32_t)qemu_plugin_tb_n_insns(tb);
    struct block *block = calloc(1, sizeof *block + count * sizeof block->instructions[0]);

    (void)id;
    if (block == NULL)
        _Exit(1);
    block->address = (uint32_t)qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, 0));
    block->count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        uint32_t address = (uint32_t)qemu_plugin_insn_vaddr(insn);

        block->instructions[i] = profile_find(profile, address);
        if (block->instructions[i] == NULL) {
            /* Never a figure with a hole: what was not decoded is not estimated. */
            fprintf(stderr, "timing: no instruction is known at 0x%08x\n", (unsigned)address);
            _Exit(1);
        }
        qemu_plugin_register_vcpu_mem_cb(insn, on_access, CB_NO_REGS, MEM_RW, (void *)(uintptr_t)i);
    }
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, CB_NO_REGS, block);
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc, char **argv)
{
    const char *problem = "table= and out= are missing";
    const char *table = NULL;

    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "table=", 6) == 0)
            table = argv[i] + 6;
        else if (strncmp(argv[i], "out=", 4) == 0)
            output = strdup(argv[i] + 4);
    }
    profile = table != NULL && output != NULL ? profile_open(table, &problem) : NULL;
    if (profile == NULL) {
        fprintf(stderr, "timing: %s\n", problem);
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    return 0;
}
