//! The cursor that fops are read with.
