//! Benchmarks of the cache: traces through the policies alone, and through a real edge.

fn main() {}
