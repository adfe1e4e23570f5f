//! Operations on frames, one a file.
