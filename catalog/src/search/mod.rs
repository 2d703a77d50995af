//! Search over the names of everything in the catalog, in memory.
