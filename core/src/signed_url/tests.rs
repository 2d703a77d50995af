//! Signed URLs against honest players and dishonest ones.
