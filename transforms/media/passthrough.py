"""Whether a whole file may become a clip as it is, byte for byte."""

from __future__ import annotations

from transforms.media.packet_index import PacketIndex
from transforms.media.tone_map import HDR_TRANSFERS
from transforms.records import VideoFacts

_PIXEL_FORMATS = ("yuv420p", "yuvj420p")


def passthrough_reason(
    facts: VideoFacts, index: PacketIndex, *, start_pts: int, end_pts: int
) -> str | None:
    """Return why the file cannot be the clip of ``[start_pts, end_pts)``; None: it can.

    It can when the span covers every frame of a clean H.264 mp4: one video stream, 4:2:0 8 bit
    of standard dynamic range, upright, not encrypted, at most one audio stream and nothing else (no
    subtitles, positions or timecodes travel along), as many frames as its header says. Clips that
    this program or upstream wrote qualify. That the frames decode is for the look to find out. Tags
    of the file (title, place, device) stay in it.

    Args:
        facts: What ``probe`` found in it.
        index: Its packet index.
        start_pts: First PTS of the span in ticks.
        end_pts: PTS behind the span in ticks.
    """
    return _stream_problem(facts) or _span_problem(facts, index, start_pts, end_pts)


def _stream_problem(facts: VideoFacts) -> str | None:
    video, audio, other = facts.num_streams
    wrong = {
        f"the container is {facts.container}, not mp4": facts.container != "mp4",
        "the file is encrypted": facts.encrypted,
        f"the codec is {facts.codec}, not h264": facts.codec != "h264",
        f"the pixel format is {facts.pixel_format}": facts.pixel_format not in _PIXEL_FORMATS,
        f"its dynamic range is high ({facts.color[2]})": facts.color[2] in HDR_TRANSFERS,
        f"the picture is stored turned by {facts.rotation_degrees} degrees": bool(
            facts.rotation_degrees
        ),
        f"there are {video} video, {audio} audio and {other} other streams": (
            video != 1 or audio > 1 or other > 0
        ),
    }
    return next((reason for reason, is_so in wrong.items() if is_so), None)


def _span_problem(
    facts: VideoFacts, index: PacketIndex, start_pts: int, end_pts: int
) -> str | None:
    if not index.pts_usable or not index.first_packet_is_keyframe:
        return "the packets do not tell the frames' times from a keyframe on"
    if start_pts > index.pts[0] or end_pts <= index.pts[-1]:
        return "the span does not cover the whole video"
    if not facts.header_frames == index.num_packets == len(index.pts):
        return (
            f"the header says {facts.header_frames} frames, there are {index.num_packets} packets "
            f"and {len(index.pts)} frames to be shown"
        )
    return None
