"""Motion scores of clips that are not H.264, from a throwaway H.264 encode of their frames."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import av
from av.codec.context import Flags2
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter

from transforms.media.look_settings import MotionSettings
from transforms.media.observers.motion import Motion
from transforms.media.observers.observer import Findings

PROXY_BIT_RATE = 4_000_000
PROXY_OPTIONS = {
    "preset": "veryfast",
    "x264-params": "cpu-independent=1:keyint=infinite:scenecut=0",
}
"""Those of the default encoder, so that such a clip scores like one that we encode.

Fixed: scores of one data set must not depend on the transcode options of the run that made them.
"""


class ProxyMotion:
    """Encodes each frame with libx264 at once and scores what an H.264 decoder makes of it.

    Nothing is stored: packets go from the encoder straight to the decoder. Frames become 8-bit
    yuv420p; an odd width or height is scaled down by one pixel. Arguments as for ``Motion``.
    """

    def __init__(
        self,
        settings: MotionSettings,
        *,
        size: tuple[int, int],
        fps: Fraction | None,
        duration_seconds: float,
        time_base: Fraction,
    ) -> None:
        width, height = size[0] // 2 * 2, size[1] // 2 * 2
        self._motion = Motion(
            settings, size=(width, height), fps=fps, duration_seconds=duration_seconds
        )
        self._reformatter = VideoReformatter()
        self._encoder = _encoder(width, height, fps=fps or Fraction(25), time_base=time_base)
        self._decoder = av.VideoCodecContext.create("h264", "r")
        self._decoder.flags2 |= Flags2.export_mvs
        self._decoder.thread_count = 1
        self._num_decoded = 0

    def observe(self, frame: av.VideoFrame, index: int) -> None:
        """Encode the frame and score whatever the decoder hands out, until that is enough."""
        if self._motion.complete:
            return
        proxy = self._reformatter.reformat(
            frame, self._encoder.width, self._encoder.height, format="yuv420p", threads=1
        )
        proxy.pict_type = PictureType.NONE  # else x264 repeats the clip's frame types
        self._score(self._encoder.encode(proxy))

    def finish(self) -> Findings:
        """Score the frames still inside the encoder, if needed, and return the findings."""
        if not self._motion.complete:
            self._score(self._encoder.encode(None))
            self._score([None])
        return self._motion.finish()

    def _score(self, packets: Sequence[av.Packet[av.VideoStream] | None]) -> None:
        for packet in packets:
            for frame in self._decoder.decode(packet):
                self._motion.observe(frame, self._num_decoded)
                self._num_decoded += 1


def _encoder(
    width: int, height: int, *, fps: Fraction, time_base: Fraction
) -> av.VideoCodecContext:
    """Return an open libx264 encoder with the proxy's settings and the clip's time base."""
    encoder = av.VideoCodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate = time_base, fps
    encoder.bit_rate = PROXY_BIT_RATE
    encoder.thread_count = 1
    encoder.options = dict(PROXY_OPTIONS)
    encoder.open()
    return encoder
