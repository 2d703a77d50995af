//! The two engines behind one face.

#[cfg(feature = "tantivy")]
#[path = "tantivy.rs"]
mod beside;

use needledrop_catalog::search::{Index, Kinds, Query};

use crate::names::number;
#[cfg(feature = "tantivy")]
pub use beside::Tantivy;

/// What finds documents.
pub trait Engine {
    /// How it is called in the table.
    #[cfg_attr(not(feature = "tantivy"), expect(dead_code, reason = "ours alone has no table"))]
    fn name(&self) -> &'static str;
    /// Numbers of documents, best first.
    fn search(&self, text: &str, limit: usize, is_prefix: bool) -> Vec<usize>;
    /// What it holds, in bytes.
    fn bytes(&self) -> usize;
}

impl Engine for Index {
    fn name(&self) -> &'static str {
        "needledrop"
    }

    fn search(&self, text: &str, limit: usize, is_prefix: bool) -> Vec<usize> {
        let query = Query { text, kinds: Kinds::ALL, limit, offset: 0, is_prefix };
        Index::search(self, &query).hits.iter().map(|hit| number(&hit.id)).collect()
    }

    fn bytes(&self) -> usize {
        self.memory_bytes()
    }
}
