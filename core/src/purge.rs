//! What a purge names, what it covers, and who has heard of it.
//!
//! A purge says "gone" about a path, about everything below a folder, or about a tag. It does
//! not list objects: it covers every version of a matching object that was numbered before it,
//! also one that is still on its way. So an answer that upstream began before the purge can
//! be told from one that it began afterwards, by its number alone.
//!
//! Nothing here writes a file or asks a neighbour; `edge::purge` and `edge::cluster` do.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{cache::VersionId, object_path::ObjectPath};

/// Everything below a folder: begins and ends with `/`, so that `/tracks/1/` never takes
/// `/tracks/10/` along. `/` alone is everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix(Box<str>);

/// One word of `Cache-Tag`, compared byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Box<str>);

/// Why a text names nothing that could be purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetRefusal {
    /// Not a path that an object can have.
    #[error("path: this is not the path of an object")]
    Path,
    /// A prefix that does not begin and end with `/`, or holds what no path holds.
    #[error("prefix: write it as /FOLDER/ with a slash at both ends")]
    Prefix,
    /// Empty, longer than [`Tag::MAX_BYTES`], or with blanks, commas or controls.
    #[error("tag: write one word of at most 128 visible characters, without commas")]
    Tag,
}

impl Prefix {
    /// Takes the text as it is, or refuses it.
    ///
    /// # Errors
    /// It is not a folder of object paths.
    pub fn parse(text: &str) -> Result<Self, TargetRefusal> {
        let folder = text.strip_suffix('/').ok_or(TargetRefusal::Prefix)?;
        match folder.is_empty() || ObjectPath::parse(folder).is_ok() {
            true => Ok(Self(text.into())),
            false => Err(TargetRefusal::Prefix),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Tag {
    /// Longest tag in bytes.
    pub const MAX_BYTES: usize = 128;

    /// Takes the text as it is, or refuses it.
    ///
    /// # Errors
    /// It is not one word.
    pub fn parse(text: &str) -> Result<Self, TargetRefusal> {
        let is_word = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
        match is_word && (1..=Self::MAX_BYTES).contains(&text.len()) {
            true => Ok(Self(text.into())),
            false => Err(TargetRefusal::Tag),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is to be gone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// One object.
    Path(ObjectPath),
    /// Everything below a folder.
    Prefix(Prefix),
    /// Everything that upstream gave a tag.
    Tag(Tag),
}

impl Target {
    /// From a parameter's name and value; `None` for another name.
    pub fn parse(name: &str, value: &str) -> Option<Result<Self, TargetRefusal>> {
        match name {
            "path" => Some(ObjectPath::parse(value).map(Self::Path).map_err(|_| TargetRefusal::Path)),
            "prefix" => Some(Prefix::parse(value).map(Self::Prefix)),
            "tag" => Some(Tag::parse(value).map(Self::Tag)),
            _ => None,
        }
    }

    /// The parameter's name: `path`, `prefix` or `tag`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Path(_) => "path",
            Self::Prefix(_) => "prefix",
            Self::Tag(_) => "tag",
        }
    }

    /// The parameter's value.
    pub fn value(&self) -> &str {
        match self {
            Self::Path(path) => path.as_str(),
            Self::Prefix(prefix) => prefix.as_str(),
            Self::Tag(tag) => tag.as_str(),
        }
    }

    /// Whether an object of this path and these tags is meant.
    pub fn matches(&self, path: &ObjectPath, tags: &[String]) -> bool {
        match self {
            Self::Path(wanted) => wanted == path,
            Self::Prefix(prefix) => path.as_str().starts_with(prefix.as_str()),
            Self::Tag(wanted) => tags.iter().any(|tag| tag == wanted.as_str()),
        }
    }
}

/// A node of the cluster as purges know it: 16 hexadecimal digits that the node drew by lot
/// once, so that two edges of one name never give out the same purge number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u64);

/// A purge: the node that was asked first, and its own count, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PurgeId {
    /// The node that was asked first.
    pub node: NodeId,
    /// That node's count.
    pub number: u64,
}

/// Which versions purges cover. Grows with the number of different targets, not of purges.
#[derive(Debug, Default, Clone)]
pub struct Coverage {
    paths: HashMap<ObjectPath, VersionId>,
    prefixes: HashMap<Prefix, VersionId>,
    tags: HashMap<Tag, VersionId>,
    floor: VersionId,
}

impl Coverage {
    /// Takes a purge in: matching versions below `before` are covered from now on.
    pub fn add(&mut self, target: &Target, before: VersionId) {
        let standing = match target {
            Target::Path(path) => self.paths.entry(path.clone()).or_insert(before),
            Target::Prefix(prefix) => self.prefixes.entry(prefix.clone()).or_insert(before),
            Target::Tag(tag) => self.tags.entry(tag.clone()).or_insert(before),
        };
        *standing = before.max(*standing);
    }

    /// Covers everything below `floor`, whatever it is: for purges that are no longer remembered one by one.
    pub fn raise_floor(&mut self, floor: VersionId) {
        self.floor = floor.max(self.floor);
    }

    /// How many targets are told apart.
    pub fn len(&self) -> usize {
        self.paths.len() + self.prefixes.len() + self.tags.len()
    }

    /// Whether no target is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether this version of this object was purged.
    pub fn covers(&self, path: &ObjectPath, tags: &[String], version: VersionId) -> bool {
        let is_gone = |before: Option<&VersionId>| before.is_some_and(|before| version < *before);
        let text = path.as_str();
        version < self.floor
            || is_gone(self.paths.get(path))
            || (!self.prefixes.is_empty()
                && text.match_indices('/').any(|(at, _)| is_gone(self.prefixes.get(&text[..=at]))))
            || tags.iter().any(|tag| is_gone(self.tags.get(tag.as_str())))
    }
}

/// Which purges of which nodes have been heard of.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Heard {
    nodes: BTreeMap<NodeId, Numbers>,
}

/// Of one node: all numbers up to `up_to`, and some beyond it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Numbers {
    up_to: u64,
    beyond: BTreeSet<u64>,
}

/// Nodes whose purges are told apart. Unit: nodes; a cluster with ten times as many edges as any we
/// know, each having lost its folder a few times.
pub const NODES_MAX: usize = 4_096;

impl Heard {
    /// Takes note of a purge; `false` if it was known already, or comes from one node too many.
    pub fn add(&mut self, id: PurgeId) -> bool {
        if self.has(id) || (!self.nodes.contains_key(&id.node) && self.nodes.len() >= NODES_MAX) {
            return false;
        }
        let numbers = self.nodes.entry(id.node).or_default();
        numbers.beyond.insert(id.number);
        numbers.close_up();
        true
    }

    /// Takes all numbers of a node up to and including `up_to` as heard.
    pub fn add_all_up_to(&mut self, node: NodeId, up_to: u64) {
        if !self.nodes.contains_key(&node) && self.nodes.len() >= NODES_MAX {
            return;
        }
        let numbers = self.nodes.entry(node).or_default();
        numbers.up_to = numbers.up_to.max(up_to);
        numbers.beyond.retain(|number| *number > up_to);
        numbers.close_up();
    }

    /// Whether a purge was heard of.
    pub fn has(&self, id: PurgeId) -> bool {
        self.nodes
            .get(&id.node)
            .is_some_and(|numbers| id.number <= numbers.up_to || numbers.beyond.contains(&id.number))
    }

    /// For each node the number up to which nothing is missing: what a neighbour need not tell again.
    pub fn marks(&self) -> impl Iterator<Item = PurgeId> {
        self.nodes.iter().map(|(node, numbers)| PurgeId { node: *node, number: numbers.up_to })
    }

    /// The number up to which nothing of this node is missing.
    pub fn mark(&self, node: NodeId) -> u64 {
        self.nodes.get(&node).map_or(0, |numbers| numbers.up_to)
    }

    /// The highest number heard of a node.
    pub fn highest(&self, node: NodeId) -> u64 {
        self.nodes.get(&node).map_or(0, |numbers| numbers.beyond.last().copied().unwrap_or(numbers.up_to))
    }
}

impl Numbers {
    fn close_up(&mut self) {
        while self.beyond.remove(&(self.up_to + 1)) {
            self.up_to += 1;
        }
    }
}

impl std::borrow::Borrow<str> for Prefix {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Tag {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A text that is not a [`NodeId`] or a [`PurgeId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a purge is written NODE-NUMBER: 16 hexadecimal digits, a hyphen, a count from 1")]
pub struct NotAPurgeId;

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for NodeId {
    type Err = NotAPurgeId;

    fn from_str(text: &str) -> Result<Self, NotAPurgeId> {
        let is_canonical = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        match is_canonical {
            true => u64::from_str_radix(text, 16).map(Self).map_err(|_| NotAPurgeId),
            false => Err(NotAPurgeId),
        }
    }
}

impl fmt::Display for PurgeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.node, self.number)
    }
}

impl FromStr for PurgeId {
    type Err = NotAPurgeId;

    fn from_str(text: &str) -> Result<Self, NotAPurgeId> {
        let (node, number) = text.split_once('-').ok_or(NotAPurgeId)?;
        let is_count = !number.starts_with('0') && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse().ok().filter(|_| is_count).ok_or(NotAPurgeId)?;
        Ok(Self { node: node.parse()?, number })
    }
}

macro_rules! as_text {
    ($($kind:ty, $parse:expr;)*) => {$(
        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    )*};
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

as_text! {
    Prefix, Self::parse;
    Tag, Self::parse;
    NodeId, str::parse::<Self>;
    PurgeId, str::parse::<Self>;
}

#[cfg(test)]
mod tests;
