//! What all requests of one edge share: the known objects, the block cache, the upstream.

use std::{
    io,
    sync::{Arc, OnceLock},
    time::Instant,
};

use needledrop_core::{
    ObjectPath,
    cache::{Shape, VersionId},
    cdn_loop::Chain,
    purge::NodeId,
};

use crate::{
    cache::{Cache, Demanded, Look},
    clock::Clock,
    deliveries::Deliveries,
    fill,
    flight::Interest,
    gate::Gate,
    metrics::Metrics,
    mishaps::Mishaps,
    object::{Object, Objects},
    open::Openings,
    popular::Popular,
    prefetch::{self, Prefetch},
    purge::Log,
    slab::{Lease, Slab},
    store,
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
    /// What was purged.
    pub purges: Log,
    /// What is fetched before anybody asks for it.
    pub prefetch: Prefetch,
    /// Whether requests are taken.
    pub gate: Gate,
    /// What time it is.
    pub clock: Clock,
    /// What operators see.
    pub metrics: Metrics,
    /// What is asked for most.
    pub popular: Popular,
    /// What went wrong lately.
    pub mishaps: Mishaps,
    /// What was delivered for whom, if that is recorded.
    deliveries: OnceLock<Arc<Deliveries>>,
}

impl Shelf {
    /// A shelf over a slab, with all that an earlier process left in it, filled from one upstream or a
    /// group of them; its purges end with the process. Blocking.
    pub fn new(slab: Arc<Slab>, upstream: impl Into<Upstreams>, clock: Clock) -> Arc<Self> {
        Self::shaped(slab, upstream, clock, Shape::default())
    }

    /// The same with another policy, or another share of heads, than the traces choose.
    pub fn shaped(slab: Arc<Slab>, upstream: impl Into<Upstreams>, clock: Clock, shape: Shape) -> Arc<Self> {
        Self::with_purges(slab, upstream, clock, shape, Log::volatile(NodeId(0)))
    }

    /// The same that goes on with what was purged before: what an earlier process left is taken back only
    /// if no purge covers it.
    pub fn with_purges(
        slab: Arc<Slab>,
        upstream: impl Into<Upstreams>,
        clock: Clock,
        shape: Shape,
        purges: Log,
    ) -> Arc<Self> {
        let objects = Objects::new(slab.objects_max());
        let cache = Cache::new(slab.clone(), shape, clock.clone());
        recover(&slab, &objects, &cache, &purges);
        let shelf = Arc::new(Self {
            objects,
            cache,
            upstream: upstream.into(),
            openings: Openings::default(),
            purges,
            prefetch: Prefetch::default(),
            gate: Gate::default(),
            clock,
            metrics: Metrics::new(),
            popular: Popular::default(),
            mishaps: Mishaps::default(),
            deliveries: OnceLock::new(),
        });
        prefetch::register(&shelf);
        shelf.metrics.add(|registry| shelf.upstream.counts().register(registry));
        store::scraped::register(&shelf);
        shelf
    }

    /// Records from here on what is delivered for whom. The first log given stays.
    pub fn keep_deliveries(&self, log: Arc<Deliveries>) {
        self.metrics.add(|registry| log.register(registry));
        let _ = self.deliveries.set(log);
    }

    /// The delivery log, if there is one.
    pub fn deliveries(&self) -> Option<&Arc<Deliveries>> {
        self.deliveries.get()
    }

    /// Finds a block or joins its flight, starting the fill that is missing. Also gives the
    /// reader's interest in a run just started ahead of it.
    pub fn demand(
        self: &Arc<Self>,
        object: &Arc<Object>,
        block: u32,
        last: u32,
        look: Look,
    ) -> (Demanded, Option<Interest>) {
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
    ) -> (Demanded, Option<Interest>) {
        let (demanded, ordered) = self.cache.demand(object, block, last, look);
        let ahead = ordered.map(|(order, interest)| {
            tokio::spawn(fill::fetch(self.clone(), object.clone(), order, chain.clone()));
            interest
        });
        (demanded, ahead)
    }

    /// Makes a version the current one under its path; the one it takes the place of is
    /// forgotten with its blocks. A version that was purged since its number was taken is gone instead.
    pub fn adopt(&self, object: &Arc<Object>) {
        let is_purged = |object: &Object| self.purges.covers(&object.path, &object.tags, object.version);
        if let Some(old) = self.objects.insert(object.clone(), is_purged) {
            old.leave();
            self.drop_blocks(&old);
        }
    }

    /// A version of which no bytes are on their way, as upstream describes it; `version` was taken
    /// before upstream was asked.
    pub fn learn(&self, version: VersionId, path: &ObjectPath, facts: &Facts) -> Arc<Object> {
        let object = Object::new(version, path.clone(), facts);
        self.adopt(&object);
        object
    }

    /// Forgets a version and its blocks.
    pub fn forget(&self, object: &Object) {
        self.objects.remove(object);
        object.leave();
        self.drop_blocks(object);
    }

    fn drop_blocks(&self, object: &Object) {
        self.cache.forget(object);
        self.cache.slab().journal().note_gone(object.version);
        self.write_journal();
    }

    /// Has the store remember what upstream last said of an object.
    pub fn remember(&self, object: &Object) {
        self.cache.slab().journal().note_object(object);
        self.write_journal();
    }

    /// Gives the cache to another process; see [`Slab::hand_over`]. What is purged from here on is not acknowledged.
    /// Blocking.
    ///
    /// # Errors
    /// Out of file descriptors; then all is as before, except that purges are refused.
    pub fn hand_over(&self) -> io::Result<Lease> {
        self.purges.hand_over();
        self.cache.slab().hand_over()
    }

    /// The journal is written on the blocking pool, where there is one.
    fn write_journal(&self) {
        let slab = self.cache.slab().clone();
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || slab.journal().flush())),
            Err(_) => slab.journal().flush(),
        }
    }
}

/// Gives back what an earlier process left in the slab, less what was purged since.
fn recover(slab: &Slab, objects: &Objects, cache: &Cache, purges: &Log) {
    let started = Instant::now();
    objects.number_from(purges.next_version());
    let is_purged = |object: &Object| purges.covers(&object.path, &object.tags, object.version);
    let recovered = slab.recover(is_purged, |record| cache.restore(record));
    objects.number_from(recovered.next);
    let known = recovered.objects.len();
    for object in recovered.objects {
        objects.insert(object, |_| false);
    }
    if let Err(error) = purges.begin(objects.peek_version()) {
        tracing::error!(%error, "the log of purges cannot be written");
    }
    let took_ms = started.elapsed().as_millis() as u64;
    tracing::info!(blocks = recovered.blocks, objects = known, took_ms, "the cache has what it had");
}
