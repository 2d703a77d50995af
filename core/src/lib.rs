//! needledrop core
