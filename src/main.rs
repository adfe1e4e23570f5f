//! mogr
fn main() {}
