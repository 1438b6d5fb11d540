"""Where a video is cut: spans of shots or of fixed stride."""
