"""The counters of clips that chunk records and the summary share: upstream's ten, then ours."""

from __future__ import annotations

from transforms.formats.document import Count, Document, ours, upstream


class ClipCounters(Document):
    """Numbers of clips."""

    num_clips_filtered_by_motion: Count = upstream(unit="clips")
    """Rejected by the motion filter."""
    num_clips_filtered_by_aesthetic: Count = upstream(unit="clips")
    """Rejected by the aesthetic filter."""
    num_clips_filtered_by_qwen_classifier: Count = upstream(unit="clips")
    """Rejected by the video classifier."""
    num_clips_filtered_by_qwen_semantic: Count = upstream(unit="clips")
    """Rejected by the semantic filter."""
    num_clips_filtered_by_artificial_text: Count = upstream(unit="clips")
    """Rejected for artificial text."""
    num_clips_passed: Count = upstream(unit="clips")
    """Kept clips."""
    num_clips_transcoded: Count = upstream(unit="clips")
    """Kept and rejected clips that have an mp4, passed-through ones included."""
    num_clips_with_embeddings: Count = upstream(unit="clips")
    """Kept clips with an embedding."""
    num_clips_with_caption: Count = upstream(unit="clips")
    """Kept clips with a caption."""
    num_clips_with_webp: Count = upstream(unit="clips")
    """Kept clips with previews."""
    num_clips_filtered_by_black: Count = ours(unit="clips", when="it is not 0")
    """Rejected because too many frames are black."""
    num_clips_filtered_by_frozen: Count = ours(unit="clips", when="it is not 0")
    """Rejected because too many frames equal the one before."""
    num_clips_filtered_by_sharpness: Count = ours(unit="clips", when="it is not 0")
    """Rejected because they are blurred."""
    num_clips_filtered_by_brightness: Count = ours(unit="clips", when="it is not 0")
    """Rejected because they are too dark or too bright."""
    num_clips_filtered_by_letterbox: Count = ours(unit="clips", when="it is not 0")
    """Rejected because black bars take up too much of the frame."""
