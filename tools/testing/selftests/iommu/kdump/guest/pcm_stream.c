// SPDX-License-Identifier: GPL-2.0
/*
 * pcm_stream capture|playback DEVICE [FRAMES]: start an ALSA stream and let it run, with
 * periods of so many frames (an interrupt for each).
 *
 * The stop threshold is out of reach, so no overrun or underrun ever stops the
 * stream and nobody has to read or write samples: the controller goes round in
 * its ring buffer for as long as it has power.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <sound/asound.h>

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))

#define MAX_PERIOD_FRAMES	1024
#define PERIODS		16
#define CHANNELS	2

static void allow_everything(struct snd_pcm_hw_params *params)
{
	size_t i;

	memset(params, 0, sizeof(*params));
	for (i = 0; i < ARRAY_SIZE(params->masks); i++)
		memset(&params->masks[i], 0xff, sizeof(params->masks[i]));
	for (i = 0; i < ARRAY_SIZE(params->intervals); i++)
		params->intervals[i].max = UINT_MAX;
	params->rmask = UINT_MAX;
}

static void choose(struct snd_pcm_hw_params *params, int which, unsigned int bit)
{
	struct snd_mask *mask =
		&params->masks[which - SNDRV_PCM_HW_PARAM_FIRST_MASK];

	memset(mask, 0, sizeof(*mask));
	mask->bits[bit / 32] = 1u << (bit % 32);
}

static void fix(struct snd_pcm_hw_params *params, int which, unsigned int value)
{
	struct snd_interval *interval =
		&params->intervals[which - SNDRV_PCM_HW_PARAM_FIRST_INTERVAL];

	memset(interval, 0, sizeof(*interval));
	interval->min = value;
	interval->max = value;
	interval->integer = 1;
}

static int fail(const char *what)
{
	printf("rig: error: pcm_stream: %s: %s\n", what, strerror(errno));
	return 1;
}

int main(int argc, char **argv)
{
	static short silence[MAX_PERIOD_FRAMES * CHANNELS];
	struct snd_xferi transfer = { .buf = silence };
	struct snd_pcm_sw_params software = { 0 };
	struct snd_pcm_hw_params hardware;
	unsigned int frames = MAX_PERIOD_FRAMES;
	int fd, playback;

	if (argc == 4)
		frames = atoi(argv[3]);
	if (argc < 3 || argc > 4 || !frames || frames > MAX_PERIOD_FRAMES) {
		fprintf(stderr, "usage: pcm_stream capture|playback DEVICE [FRAMES]\n");
		return 2;
	}
	transfer.frames = frames;
	setvbuf(stdout, NULL, _IOLBF, 0);
	playback = !strcmp(argv[1], "playback");
	fd = open(argv[2], O_RDWR | O_NONBLOCK);
	if (fd < 0)
		return fail(argv[2]);

	allow_everything(&hardware);
	choose(&hardware, SNDRV_PCM_HW_PARAM_ACCESS,
	       SNDRV_PCM_ACCESS_RW_INTERLEAVED);
	choose(&hardware, SNDRV_PCM_HW_PARAM_FORMAT, SNDRV_PCM_FORMAT_S16_LE);
	fix(&hardware, SNDRV_PCM_HW_PARAM_CHANNELS, CHANNELS);
	fix(&hardware, SNDRV_PCM_HW_PARAM_RATE, 48000);
	fix(&hardware, SNDRV_PCM_HW_PARAM_PERIOD_SIZE, frames);
	fix(&hardware, SNDRV_PCM_HW_PARAM_PERIODS, PERIODS);
	if (ioctl(fd, SNDRV_PCM_IOCTL_HW_PARAMS, &hardware))
		return fail("HW_PARAMS");

	/* boundary: the largest multiple of the buffer that is not negative */
	software.boundary = (unsigned long)frames * PERIODS;
	while (software.boundary * 2 <= LONG_MAX - frames * PERIODS)
		software.boundary *= 2;
	software.period_step = 1;
	software.avail_min = frames;
	software.start_threshold = 1;
	software.stop_threshold = software.boundary;
	if (ioctl(fd, SNDRV_PCM_IOCTL_SW_PARAMS, &software))
		return fail("SW_PARAMS");
	if (ioctl(fd, SNDRV_PCM_IOCTL_PREPARE))
		return fail("PREPARE");

	/* the first write starts a playback stream, see start_threshold */
	if (playback ? ioctl(fd, SNDRV_PCM_IOCTL_WRITEI_FRAMES, &transfer) :
		       ioctl(fd, SNDRV_PCM_IOCTL_START))
		return fail("START");

	printf("rig: stream %s runs\n", argv[1]);
	for (;;)
		pause();
}
