"""What the platform measures of itself: each figure beside its limit or a peer, in one interleaved run."""
