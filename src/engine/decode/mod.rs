//! Bytes to header, metadata and frames: one codec a file.
