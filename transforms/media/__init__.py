"""Files and frames: everything that touches pixels or packets; never imports Beam."""
