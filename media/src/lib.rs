//! needledrop media
