"""The least that cutting can cost: decode all, encode all as one stream, decode the clips.

    python -m benchmarks.split_floor --processes 2 --sources raw --clips out/clips --folder work

The encoder is set as the pipeline sets it, one stream per source. Nothing is indexed, hashed,
scored or described.
"""

from __future__ import annotations

import argparse
import multiprocessing
from fractions import Fraction
from pathlib import Path

import av
from av.video.frame import PictureType

from transforms.media.encode import EncodeSettings, Picture, add_video_stream, resolve_encoder
from transforms.media.transcode_options import Transcode


def encode_whole(source: Path, target: Path, settings: EncodeSettings) -> None:
    """Decode a video and encode it as one stream."""
    with av.open(str(source)) as decoded, av.open(str(target), "w", format="mp4") as encoded:
        stream = decoded.streams.video[0]
        _one_thread(stream.codec_context)
        assert stream.time_base is not None
        picture = Picture(
            stream.width,
            stream.height,
            "yuv420p",
            stream.time_base,
            stream.average_rate or Fraction(25),
        )
        video = add_video_stream(
            encoded, settings, picture, bit_rate=settings.bit_rate(input_kbit=0)
        )
        for frame in decoded.decode(stream):
            frame.pict_type, frame.dts = PictureType.NONE, None
            encoded.mux(video.encode(frame))
        encoded.mux(video.encode(None))


def decode_clip(clip: Path) -> int:
    """Decode a clip; return its number of frames."""
    with av.open(str(clip)) as decoded:
        stream = decoded.streams.video[0]
        _one_thread(stream.codec_context)
        return sum(1 for _ in decoded.decode(stream))


def _one_thread(context: av.VideoCodecContext) -> None:
    context.thread_type, context.thread_count = "NONE", 1


def main() -> None:
    """Do the work in several processes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--processes", type=int, required=True)
    parser.add_argument("--sources", type=Path, required=True, help="folder of mp4 files")
    parser.add_argument("--clips", type=Path, required=True, help="folder of mp4 files")
    parser.add_argument("--folder", type=Path, required=True, help="where to write")
    options = parser.parse_args()
    settings, _ = resolve_encoder(Transcode())
    # Forked, so that nothing is imported twice: the floor has no start-up to speak of.
    with multiprocessing.get_context("fork").Pool(options.processes) as pool:
        jobs = [
            (source, options.folder / source.name, settings)
            for source in sorted(options.sources.glob("*.mp4"))
        ]
        pool.starmap(encode_whole, jobs, chunksize=1)
        pool.map(decode_clip, sorted(options.clips.glob("*.mp4")), chunksize=1)
        pool.close()
        pool.join()


if __name__ == "__main__":
    main()
