//! needledrop origin
