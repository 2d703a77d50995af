//! needledrop edge
