//! Frames to bytes: one codec a file.
