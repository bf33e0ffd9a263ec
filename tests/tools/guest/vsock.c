/* A program for guests without one: vsock connect PORT TEXT sends a line and prints the answer;
 * vsock serve PORT prints one line and answers it. Linked statically. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <linux/vm_sockets.h>
#include <unistd.h>

static int line(int fd, char *text, size_t size) {
    size_t used = 0;
    while (used + 1 < size && read(fd, text + used, 1) == 1)
        if (text[used++] == '\n') break;
    text[used] = 0;
    return used > 0;
}

int main(int argc, char **argv) {
    char text[256];
    struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST};
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    if (argc < 3 || fd < 0) return perror("vsock"), 2;
    address.svm_port = (unsigned)strtoul(argv[2], NULL, 10);
    if (!strcmp(argv[1], "connect")) {
        if (connect(fd, (struct sockaddr *)&address, sizeof address)) return perror("connect"), 1;
        dprintf(fd, "%s\n", argc > 3 ? argv[3] : "");
        if (!line(fd, text, sizeof text)) return 1;
        printf("%s", text);
        return 0;
    }
    address.svm_cid = VMADDR_CID_ANY;
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 1))
        return perror("listen"), 1;
    int peer = accept(fd, NULL, NULL);
    if (peer < 0 || !line(peer, text, sizeof text)) return 1;
    printf("%s", text);
    dprintf(peer, "the guest heard %s", text);
    return 0;
}
