/* The machine that the pipeline runs on: the console is a TCP connection to 127.0.0.1.
 *
 * It listens on the port that the variable HOST_BOARD_PORT names, else on a free one; either way it
 * prints `port N` on standard output, so that two of them never race for a port. It ends when the
 * connection closes.
 */
#define _POSIX_C_SOURCE 200809L

#include "board/soc/hal.h"
#include "target/board.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int line = -1;

static void fail(const char *what)
{
    perror(what);
    exit(2);
}

void hal_init(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    const char *wanted = getenv("HOST_BOARD_PORT");
    int yes = 1;
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    signal(SIGPIPE, SIG_IGN);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)(wanted ? strtoul(wanted, NULL, 10) : 0));
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 1) != 0)
        fail("listening on 127.0.0.1");
    if (getsockname(listener, (struct sockaddr *)&address, &length) != 0)
        fail("getsockname");
    printf("port %u\n", (unsigned)ntohs(address.sin_port));
    fflush(stdout);
    line = accept(listener, NULL, NULL);
    if (line < 0)
        fail("accept");
    close(listener);
    setsockopt(line, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

static char outgoing[4096];
static uint32_t waiting;

static void flush(void)
{
    for (uint32_t sent = 0; sent < waiting;) {
        ssize_t count = write(line, outgoing + sent, waiting - sent);
        if (count <= 0)
            exit(0);                    /* nobody listens any more */
        sent += (uint32_t)count;
    }
    waiting = 0;
}

void hal_write(const char *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        outgoing[waiting++] = bytes[i];
        if (waiting == sizeof outgoing || bytes[i] == '\n')
            flush();
    }
}

int hal_read(void)
{
    static unsigned char incoming[512];
    static ssize_t held, next;

    if (next == held) {
        held = read(line, incoming, sizeof incoming);
        next = 0;
        if (held <= 0)
            exit(0);
    }
    return incoming[next++];
}

uint64_t hal_counter(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

const struct hal_facts *hal_facts(void)
{
    static const struct hal_facts facts = {
        .counter = "CLOCK_MONOTONIC",
        .unit = "ns",
        .counter_hz = 1000000000u,
        .problem = "",
        .boots = 1,
    };

    return &facts;
}

void hal_state(hal_tell tell)
{
    (void)tell;
}

void hal_exit(int status)
{
    flush();
    exit(status);
}
