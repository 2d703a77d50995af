//! Playback: who may hear what, in which quality, and where to fetch it.
