"""Frames as the encoder wants them: upright, even-sized, 4:2:0, in 8 bits or HDR in 10."""

from __future__ import annotations

from fractions import Fraction
from typing import cast

import av
import av.filter
import numpy as np
from av.sidedata.sidedata import SideData
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from transforms.errors import MediaError
from transforms.media.clip_form import ClipForm, Fit, fit
from transforms.media.scaling import EXACT_BICUBIC, EXACT_BICUBIC_NAMES
from transforms.media.tone_map import BT709_TAGS, HLG, PQ, tone_map_filters

_BT709 = 1
"""FFmpeg's number for the BT.709 matrix."""
_TURNS = {90: "clock", 270: "cclock"}
"""Clockwise turn in degrees to the transpose filter's name for it."""


class Upright:
    """Turns decoded frames of one source into frames for the encoder.

    A frame that is yuv420p, unrotated and even-sized is handed on as it is. Else it is converted to
    8 bit 4:2:0 in the source's own range, turned upright, and the last row or column of an odd
    height or width is cut off, because 4:2:0 has one chroma sample per 2x2 pixels; or else it is
    brought to the size that is asked for, with square pixels. High dynamic range is mapped to
    BT.709, or kept in 10 bits with its tags if that is asked for. One instance serves one source:
    converter and filter are kept from frame to frame.
    """

    def __init__(
        self,
        first: av.VideoFrame,
        *,
        rotation_degrees: int,
        aspect: Fraction = Fraction(1),
        crop: tuple[int, int, int, int] | None = None,
        form: ClipForm | None = None,
        full_range_format: str = "yuvj420p",
    ) -> None:
        """Prepare for frames like ``first``.

        Args:
            first: A decoded frame of the source; it is not changed.
            rotation_degrees: Clockwise turn that shows it upright: 0, 90, 180 or 270.
            aspect: Width over height of one pixel of ``first``.
            crop: Left and top, even, width and height of what is kept, in pixels; None: all.
            form: The size that is asked for, and whether high dynamic range is kept; None: as the
                source, not kept.
            full_range_format: What the encoder calls 4:2:0 of full range, in 8 bits.

        Raises:
            MediaError: ``mirrored``: the source asks players to mirror it.
        """
        _refuse_mirrored(first)
        self._is_rgb = first.format.is_rgb
        is_hdr = int(first.color_trc) in (PQ, HLG)
        keeps_hdr = is_hdr and form is not None and form.keep_hdr
        self._maps_tones = is_hdr and not keeps_hdr
        self.color = BT709_TAGS if self._maps_tones else _color_tags(first, is_rgb=self._is_rgb)
        self._choose_format(first, keeps_hdr=keeps_hdr, full_range_format=full_range_format)
        width, height = crop[2:] if crop is not None else (first.width, first.height)
        upright = (height, width) if rotation_degrees in (90, 270) else (width, height)
        self.aspect = upright_aspect(aspect, rotation_degrees=rotation_degrees)
        self._choose_size(upright, form)
        becomes = {(self.width, self.height), self._fit.scaled if self._fit else upright}
        changes = bool(rotation_degrees or crop or self._maps_tones or becomes != {upright})
        self._graph = self._filters(first, rotation_degrees, crop) if changes else None
        if self._maps_tones:
            self.pixel_format = "yuv420p"

    def _choose_format(
        self, first: av.VideoFrame, *, keeps_hdr: bool, full_range_format: str
    ) -> None:
        """Set the range, the pixel format, and what converts to it before the filters."""
        full = not self._is_rgb and (
            first.format.name.startswith("yuvj") or first.color_range == ColorRange.JPEG
        )
        self._range = ColorRange.JPEG if full else ColorRange.MPEG
        same: tuple[str, ...] = ("yuv420p",)
        if full and full_range_format == "yuvj420p":
            same = ("yuvj420p", "yuv420p")
        if keeps_hdr:
            same = ("yuv420p10le",)
        is_same = first.format.name in same or self._maps_tones
        self._reformatter = None if is_same else VideoReformatter()
        self.pixel_format = first.format.name if is_same else same[0]

    def _choose_size(self, upright: tuple[int, int], form: ClipForm | None) -> None:
        """Set the size in pixels, how it is come to, and the shape of pixels then."""
        width, height = upright
        self._fit: Fit | None = None
        self.width, self.height = width - width % 2, height - height % 2
        if form is not None and form.changes_size:
            self._fit = fit(form, upright, aspect=self.aspect)
            self.width, self.height = self._fit.size
            self.aspect = Fraction(1)

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Return ``frame`` for the encoder; its PTS and type are for the caller to set."""
        if self._reformatter is not None:
            frame = self._reformatter.reformat(
                frame,
                format=self.pixel_format,
                src_color_range=None if self._is_rgb else self._range,
                dst_color_range=self._range,
                dst_colorspace=Colorspace.ITU709 if self._is_rgb else None,
                interpolation=EXACT_BICUBIC,
                threads=1,
            )
        if self._graph is not None:
            self._graph.vpush(frame)
            frame = self._graph.vpull()
        return frame

    def _filters(
        self, first: av.VideoFrame, rotation_degrees: int, crop: tuple[int, int, int, int] | None
    ) -> av.filter.Graph:
        graph = av.filter.Graph()
        graph.threads = 1
        # Range and matrix are named because frames that differ from them make the filter warn.
        nodes = [
            graph.add(
                "buffer",
                video_size=f"{first.width}x{first.height}",
                pix_fmt=self.pixel_format,
                time_base="1/1000",
                colorspace=str(first.colorspace),
                range=str(int(first.color_range)),
            )
        ]
        if crop is not None:
            left, top, width, height = crop
            nodes.append(graph.add("crop", f"{width}:{height}:{left}:{top}"))
        if self._maps_tones:
            transfer, matrix = int(first.color_trc), int(first.colorspace)
            nodes += tone_map_filters(graph, transfer=transfer, matrix=matrix)
        if rotation_degrees == 180:
            nodes += [graph.add("hflip"), graph.add("vflip")]
        elif rotation_degrees:
            nodes.append(graph.add("transpose", dir=_TURNS[rotation_degrees]))
        nodes += [graph.add(*filter_) for filter_ in self._last_filters()]
        nodes.append(graph.add("buffersink"))
        graph.link_nodes(*nodes).configure()
        return graph

    def _last_filters(self) -> list[tuple[str, str]]:
        """Return name and arguments of the filters that give the upright picture its size."""
        size = f"{self.width}:{self.height}"
        if self._fit is None:
            return [("crop", f"{size}:0:0")]
        width, height = self._fit.scaled
        filters = [("scale", f"{width}:{height}:flags={EXACT_BICUBIC_NAMES}")]
        place = f"{self._fit.offset(0)}:{self._fit.offset(1)}"
        if width > self.width or height > self.height:
            filters.append(("crop", f"{size}:{place}"))
        elif (width, height) != self._fit.size:
            filters.append(("pad", f"{size}:{place}:black"))
        return filters


def upright_aspect(sample_aspect_ratio: Fraction, *, rotation_degrees: int) -> Fraction:
    """Return width over height of one pixel after the turn."""
    return 1 / sample_aspect_ratio if rotation_degrees in (90, 270) else sample_aspect_ratio


def _color_tags(frame: av.VideoFrame, *, is_rgb: bool) -> tuple[int, int, int, int]:
    """Return range, primaries, transfer and matrix as FFmpeg numbers them."""
    if is_rgb:
        return int(ColorRange.MPEG), int(frame.color_primaries), int(frame.color_trc), _BT709
    tags = (frame.color_range, frame.color_primaries, frame.color_trc, frame.colorspace)
    return int(tags[0]), int(tags[1]), int(tags[2]), int(tags[3])


def _refuse_mirrored(frame: av.VideoFrame) -> None:
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return
    a, b, _, c, d, *_ = (
        np.frombuffer(bytes(cast(SideData, matrix)), dtype="<i4").astype(np.int64).tolist()
    )
    if a * d - b * c < 0:
        raise MediaError(
            "mirrored",
            "the video asks players to mirror its picture (display matrix "
            f"[{a} {b}; {c} {d}] / 65536), which is not supported; re-encode it upright",
        )
