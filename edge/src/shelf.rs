//! What all requests of one edge share: the known objects, the block cache, the upstream.

use std::sync::Arc;

use needledrop_core::{ObjectPath, cache::Shape, cdn_loop::Chain};

use crate::{
    cache::{Cache, Found, Look},
    clock::Clock,
    fill,
    flight::Interest,
    limits::OBJECTS_MAX,
    metrics::Metrics,
    object::{Object, Objects},
    open::Openings,
    slab::Slab,
    upstream::{Facts, Upstreams},
};

/// Objects, their blocks, and where more of them come from.
pub struct Shelf {
    /// Length, validators and freshness by path.
    pub objects: Objects,
    /// Blocks.
    pub cache: Cache,
    /// Shields and origins.
    pub upstream: Upstreams,
    /// Objects being opened.
    pub openings: Openings,
    /// What time it is.
    pub clock: Clock,
    /// What operators see.
    pub metrics: Metrics,
}

impl Shelf {
    /// An empty shelf over a slab, filled from one upstream or a group of them.
    pub fn new(slab: Arc<Slab>, upstream: impl Into<Upstreams>, clock: Clock) -> Arc<Self> {
        Self::shaped(slab, upstream, clock, Shape::default())
    }

    /// The same with another policy, or another share of heads, than the traces choose.
    pub fn shaped(slab: Arc<Slab>, upstream: impl Into<Upstreams>, clock: Clock, shape: Shape) -> Arc<Self> {
        Arc::new(Self {
            objects: Objects::new(OBJECTS_MAX),
            cache: Cache::new(slab, shape, clock.clone()),
            upstream: upstream.into(),
            openings: Openings::default(),
            clock,
            metrics: Metrics::new(),
        })
    }

    /// Finds a block or joins its flight, starting the fill that is missing. Also gives the
    /// reader's interest in a run just started ahead of it.
    pub fn demand(
        self: &Arc<Self>,
        object: &Arc<Object>,
        block: u32,
        last: u32,
        look: Look,
    ) -> (Found, Option<Interest>) {
        self.demand_for(&Chain::default(), object, block, last, look)
    }

    /// The same because of a request that has passed the nodes of `chain`.
    pub fn demand_for(
        self: &Arc<Self>,
        chain: &Chain,
        object: &Arc<Object>,
        block: u32,
        last: u32,
        look: Look,
    ) -> (Found, Option<Interest>) {
        let (found, ordered) = self.cache.demand(object, block, last, look);
        let ahead = ordered.map(|(order, interest)| {
            tokio::spawn(fill::fetch(self.clone(), object.clone(), order, chain.clone()));
            interest
        });
        (found, ahead)
    }

    /// A version as upstream describes it, not yet known to anybody.
    pub fn new_version(&self, path: &ObjectPath, facts: &Facts) -> Arc<Object> {
        Object::new(self.objects.next_version(), path.clone(), facts)
    }

    /// Makes a version the current one under its path; the one it takes the place of is
    /// forgotten with its blocks.
    pub fn adopt(&self, object: &Arc<Object>) {
        if let Some(old) = self.objects.insert(object.clone()) {
            self.cache.forget(&old);
        }
    }

    /// Both at once, for a version of which no bytes are on their way.
    pub fn learn(&self, path: &ObjectPath, facts: &Facts) -> Arc<Object> {
        let object = self.new_version(path, facts);
        self.adopt(&object);
        object
    }

    /// Forgets a version and its blocks.
    pub fn forget(&self, object: &Object) {
        self.objects.remove(object);
        self.cache.forget(object);
    }
}
