//! needledrop http
