//! needledrop
fn main() {}
