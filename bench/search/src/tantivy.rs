//! tantivy, searching the same documents.

use needledrop_catalog::search::Document;
use tantivy::collector::TopDocs;
use tantivy::query::{BooleanQuery, FuzzyTermQuery, Occur};
use tantivy::schema::{FAST, Field, STORED, Schema, TEXT, Value as _};
use tantivy::tokenizer::{AsciiFoldingFilter, LowerCaser, SimpleTokenizer, TextAnalyzer};
use tantivy::{Order, TantivyDocument, Term};

use super::Engine;
use crate::names::number;

/// tantivy in memory: names lower-cased and without accents, every word a fuzzy term that must be there, the last one a
/// fuzzy prefix; ordered by plays. The distances are ours: 1 up to five letters, then 2.
pub struct Tantivy {
    searcher: tantivy::Searcher,
    tokenizer: TextAnalyzer,
    name: Field,
    number: Field,
}

impl Tantivy {
    /// Indexes documents, with one thread.
    pub fn new(documents: &[Document]) -> tantivy::Result<Self> {
        let mut schema = Schema::builder();
        let name = schema.add_text_field("name", TEXT);
        let number_field = schema.add_u64_field("number", STORED);
        let plays = schema.add_u64_field("plays", FAST);
        let index = tantivy::Index::create_in_ram(schema.build());
        let tokenizer =
            TextAnalyzer::builder(SimpleTokenizer::default()).filter(LowerCaser).filter(AsciiFoldingFilter).build();
        index.tokenizers().register("default", tokenizer.clone());
        let mut writer: tantivy::IndexWriter = index.writer_with_num_threads(1, 200_000_000)?;
        for document in documents {
            let mut row = TantivyDocument::new();
            row.add_text(name, &document.name);
            document.by.iter().for_each(|by| row.add_text(name, by));
            row.add_u64(number_field, number(&document.id) as u64);
            row.add_u64(plays, document.plays);
            writer.add_document(row)?;
        }
        writer.commit()?;
        let segments = index.searchable_segment_ids()?;
        if segments.len() > 1 {
            writer.merge(&segments).wait()?; // one segment is the best case for its speed
        }
        writer.wait_merging_threads()?;
        let reader = index.reader()?;
        reader.reload()?;
        Ok(Self { searcher: reader.searcher(), tokenizer, name, number: number_field })
    }

    fn query(&self, text: &str, is_prefix: bool) -> BooleanQuery {
        let mut words = Vec::new();
        let mut tokenizer = self.tokenizer.clone();
        let mut stream = tokenizer.token_stream(text);
        stream.process(&mut |token| words.push(token.text.clone()));
        let last = words.len().saturating_sub(1);
        let must = words.iter().enumerate().map(|(at, word)| {
            let distance = match word.chars().count() {
                0..=2 => 0,
                3..=5 => 1,
                _ => 2,
            };
            let term = Term::from_field_text(self.name, word);
            let query = if at == last && is_prefix {
                FuzzyTermQuery::new_prefix(term, distance, true)
            } else {
                FuzzyTermQuery::new(term, distance, true)
            };
            (Occur::Must, Box::new(query) as Box<dyn tantivy::query::Query>)
        });
        BooleanQuery::new(must.collect())
    }
}

impl Engine for Tantivy {
    fn name(&self) -> &'static str {
        "tantivy 0.27"
    }

    fn search(&self, text: &str, limit: usize, is_prefix: bool) -> Vec<usize> {
        let top = TopDocs::with_limit(limit).order_by_fast_field::<u64>("plays", Order::Desc);
        let found = self.searcher.search(&self.query(text, is_prefix), &top).expect("memory does not fail");
        let number = |address| {
            let row: TantivyDocument = self.searcher.doc(address).expect("memory does not fail");
            row.get_first(self.number).and_then(|value| value.as_u64()).expect("every row has a number") as usize
        };
        found.into_iter().map(|(_, address)| number(address)).collect()
    }

    fn bytes(&self) -> usize {
        self.searcher.space_usage().expect("memory does not fail").total().get_bytes() as usize
    }
}
