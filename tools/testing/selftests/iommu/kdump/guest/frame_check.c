// SPDX-License-Identifier: GPL-2.0
/*
 * frame_check INTERFACE SECONDS TOKEN [SENDER COUNT]: count the frames that arrive,
 * by sender. It ends early when COUNT frames of SENDER have come.
 *
 * A frame of the rig is an Ethernet header with the experimental type 0x88b5 and
 * a payload of one 16-byte word over and over: 8 bytes name the sender, "RIG-"
 * and a letter and "---", 8 bytes are the run's token (hexadecimal digits).
 * The word is put together nowhere in this program: the host looks for it
 * in the memory of this kernel.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RIG_ETHERTYPE	0x88b5
#define WORD		16

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The sender's letter, or '?' for anything that is not wholly one word. */
static char sender_of(const unsigned char *payload, ssize_t length,
		      const char *token)
{
	ssize_t at;

	if (length < WORD || memcmp(payload, "RIG-", 4) ||
	    payload[4] < 'A' || payload[4] > 'Z' ||
	    memcmp(payload + 8, token, 8))
		return '?';
	for (at = WORD; at + WORD <= length; at += WORD)
		if (memcmp(payload + at, payload, WORD))
			return '?';
	return payload[4];
}

int main(int argc, char **argv)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET };
	unsigned char frame[2048];
	unsigned long count[256] = { 0 }, wanted;
	struct pollfd wait;
	long end, left;
	int letter;

	if ((argc != 4 && argc != 6) || strlen(argv[3]) != 8) {
		fprintf(stderr, "usage: frame_check INTERFACE SECONDS TOKEN [SENDER COUNT]\n");
		return 2;
	}
	address.sll_protocol = htons(RIG_ETHERTYPE);
	address.sll_ifindex = if_nametoindex(argv[1]);
	wait.fd = socket(AF_PACKET, SOCK_RAW, htons(RIG_ETHERTYPE));
	wait.events = POLLIN;
	if (wait.fd < 0 || bind(wait.fd, (struct sockaddr *)&address,
				sizeof(address))) {
		printf("rig: error: frame_check: %s: %s\n", argv[1],
		       strerror(errno));
		return 1;
	}
	wanted = argc == 6 ? (unsigned long)atol(argv[5]) : 0;
	end = now_ms() + (long)(1000 * atof(argv[2]));
	while ((left = end - now_ms()) > 0 &&
	       (!wanted || count[(unsigned char)argv[4][0]] < wanted)) {
		ssize_t length;

		if (poll(&wait, 1, left) <= 0)
			continue;
		length = recv(wait.fd, frame, sizeof(frame), MSG_DONTWAIT);
		if (length > ETH_HLEN)
			count[(unsigned char)sender_of(frame + ETH_HLEN,
						       length - ETH_HLEN,
						       argv[3])]++;
	}
	/* one write(2), so one record of the kernel log, per sender */
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (letter = 0; letter < 256; letter++)
		if (count[letter])
			printf("rig: frames %s %c %lu\n", argv[1], letter,
			       count[letter]);
	printf("rig: frames checked\n");
	return 0;
}
