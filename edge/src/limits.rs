//! Every number that bounds the edge, with its unit and its reason.

use std::time::Duration;

use needledrop_core::rate::Quota;

/// How far ahead of a sequential reader blocks are fetched. Unit: blocks.
///
/// 512 KiB, the step in which players fetch: a listener who skips wastes no more than that.
pub const READ_AHEAD_BLOCKS: u32 = 4;

/// Blocks left ahead of a reader when the next request goes out. Unit: blocks. One is at least
/// three seconds of sound; more would make requests smaller, as their far end is fixed.
pub const READ_AHEAD_LOW_BLOCKS: u32 = 1;

/// Blocks asked for in one upstream request. Unit: blocks of 128 KiB: the reader's and those ahead
/// of it. A range of 512 KiB is one request even if it lies across five blocks.
pub const RUN_BLOCKS_MAX: u32 = 1 + READ_AHEAD_BLOCKS;

/// Blocks asked for when a reader begins a part that is longer than [`RUN_BLOCKS_MAX`]: it may
/// want all of it, or leave after its first byte (RangeAmp). Unit: blocks.
pub const FIRST_RUN_BLOCKS: u32 = 2;

/// Heap held by blocks on their way from upstream into the cache. Unit: blocks.
///
/// 2,048 blocks are 256 MiB. A fill waits for room; a request that waits longer than
/// [`FILL_ROOM_WAIT`] is answered 503.
pub const FLYING_BLOCKS_MAX: usize = 2_048;

/// How long a fill waits for room in [`FLYING_BLOCKS_MAX`].
pub const FILL_ROOM_WAIT: Duration = Duration::from_secs(2);

/// Heads fetched ahead at the same time. Unit: heads, up to 2 MiB each.
///
/// One at a time for each play; 32 in all bring more than a thousand listeners a minute their
/// next head from an origin 1 s away, and hold at most an eighth of the room for flying blocks.
pub const PREFETCH_HEADS_MAX: usize = 32;

/// Heads waiting to be fetched ahead. Unit: heads, about 500 B each. Beyond it those that are due last are dropped.
pub const PREFETCH_WAITING_MAX: usize = 1_024;

/// Plays remembered whose next head has been fetched. Unit: plays, about 500 B each. One that is
/// forgotten looks again, and finds its head in the cache.
pub const PREFETCH_PLAYS_MAX: usize = 16_384;

/// Blocks on their way from which on nothing is fetched ahead. Unit: blocks. Half of
/// [`FLYING_BLOCKS_MAX`]: the rest is for listeners who wait.
pub const PREFETCH_FLYING_BLOCKS_MAX: usize = FLYING_BLOCKS_MAX / 2;

/// How soon a head on its way notices that listeners need the room.
pub const PREFETCH_PRESSURE_LOOK: Duration = Duration::from_millis(20);

/// Objects whose length and validators are remembered. Unit: objects, about 400 B each.
pub const OBJECTS_MAX: usize = 131_072;

/// Blocks of the cache for each object beyond [`OBJECTS_MAX`] that is remembered. Unit: blocks.
///
/// A head is about five blocks, so a cache full of nothing but heads still knows all of their objects.
pub const BLOCKS_PER_OBJECT: u32 = 4;

/// Slots that one reader's bytes may hold at a time; what it takes beyond is copied. Unit: blocks.
///
/// Two MiB is more than a connection keeps on its way to a socket. A client that stops reading holds no more.
pub const PINS_PER_READER_MAX: u32 = 16;

/// Notes for the store's journal that wait to be written. Unit: bytes. Each note is about 300 B and
/// is written as soon as the blocking pool comes to it; beyond 16 MiB the disk is taken for dead.
pub const JOURNAL_PENDING_BYTES_MAX: usize = 16 << 20;

/// Lines of history that the store's journal may hold beyond twice its living ones before it is
/// rewritten. Unit: lines. 4,096 are about a MiB: read in 10 ms at a start.
pub const JOURNAL_SLACK_LINES: usize = 4_096;

/// Tags remembered with an object. Unit: tags; a release with its artists, labels and genres needs a few.
pub const TAGS_MAX: usize = 32;

/// The longest tag that is remembered. Unit: bytes.
pub const TAG_BYTES_MAX: usize = 128;

/// Purges remembered one by one, in memory and in the log. Unit: purges, about 150 B each. A year of
/// forty takedowns a day; older ones go on to count as a whole.
pub const PURGES_MAX: usize = 16_384;

/// Objects looked at in one step of a purge, while which openings wait. Unit: objects, about 0.3 us each.
pub const PURGE_STEP_OBJECTS: usize = 1_024;

/// Blocks removed in one step of a purge, while which readers wait. Unit: blocks, about 0.2 us each.
pub const PURGE_STEP_BLOCKS: u32 = 1_024;

/// Other edges that this one tells of purges. Unit: edges.
pub const PEERS_MAX: usize = 256;

/// How long a neighbour may take to acknowledge a purge. Two rounds of it, and the purge itself, stay below a second.
pub const NEIGHBOUR_WAIT: Duration = Duration::from_millis(400);

/// How long a start waits for the neighbours' lists of purges.
pub const CATCH_UP_WAIT: Duration = Duration::from_secs(3);

/// The longest answer of a neighbour. Unit: bytes; [`PURGES_MAX`] purges of the longest paths.
pub const CATCH_UP_BYTES_MAX: usize = 32 << 20;

/// Nodes whose marks are sent when catching up. Unit: nodes; 128 of them are 4 KiB of target. What other
/// nodes purged is listed in full.
pub const MARKS_MAX: usize = 128;

/// How often the neighbours are asked for purges that did not arrive.
pub const PURGE_PULL_EVERY: Duration = Duration::from_secs(15);

/// Blocks that one request looks up to say in Cache-Status how much of its range was here. Unit: blocks; 512 MiB, a
/// whole day of podcast. An upstream may claim 512 TiB, and the look holds the table's lock.
pub const PRESENCE_BLOCKS_MAX: usize = 4_096;

/// Objects being opened at the same time. Unit: objects. Beyond it, 503.
pub const OPENINGS_MAX: usize = 4_096;

/// How often an opening asks anew because a purge overtook the answer. Unit: questions.
pub const OPENING_ATTEMPTS_MAX: u32 = 3;

/// How long an object that must not be stored is fetched past the cache without asking
/// again whether it may be. Unit: seconds.
pub const UNCACHEABLE_SECONDS: u64 = 60;

/// Attempts at one run of blocks: the first, and one more where the last byte arrived.
pub const FILL_ATTEMPTS_MAX: u32 = 2;

/// How long a request that nothing has been sent of waits for its first byte. Then it is a 504: a
/// player that hears no within a second can ask the next edge of its list. The rest of the second is for the way.
pub const FIRST_BYTE_WAIT: Duration = Duration::from_millis(800);

/// How long upstream may bring nothing before somebody else is asked as well. A healthy upstream in
/// the same region answers in a tenth of it; a listener's player has more than that in its buffer.
pub const HEDGE_AFTER: Duration = Duration::from_millis(300);

/// What a body must bring in [`HEDGE_AFTER`] not to count as stalled. Unit: bytes. Slower than this
/// (about 100 kbit/s) no music can be played, however steadily it trickles.
pub const HEDGE_BYTES_MIN: usize = 4_096;

/// Hedges that one fill may need. Unit: requests. An object that stalls everywhere must not spend
/// the budget of all others.
pub const HEDGES_PER_FILL_MAX: u32 = 2;

/// For how long a stale object is served while upstream is down, where its last answer stated
/// nothing about that. Unit: seconds. A day: music does not change, and an outage ends.
pub const STALE_IF_ERROR_DEFAULT_SECONDS: u64 = 86_400;

/// How long after a failed question about a stale object it is served without asking again, so that
/// not every listener waits for a silent upstream. Unit: seconds.
pub const STALE_UNASKED_SECONDS: u64 = 5;

/// Shields that one request asks before it turns to an origin. Unit: shields.
pub const SHIELDS_TRIED_MAX: u32 = 2;

/// Requests under way at a shield that are not called a load yet. Unit: requests. Below it the load
/// bound moves nothing, so that an object has one home.
pub const SHIELD_LOAD_FLOOR: u64 = 32;

/// Time between two health checks of an upstream.
pub const HEALTH_EVERY: Duration = Duration::from_secs(2);

/// Time for upstream to accept a connection. Within a region a healthy one needs milliseconds.
pub const UPSTREAM_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Time for upstream to send response headers.
pub const UPSTREAM_HEADERS_TIMEOUT: Duration = Duration::from_secs(5);

/// Time between two pieces of an upstream body before the fill is given up.
pub const UPSTREAM_STALL_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest slab file. Unit: bytes. One mapping each, so 64 TiB stay far below the
/// kernel's default of 65,530 mappings a process.
pub const SLAB_BYTES_MAX: u64 = 1 << 30;

/// The smallest cache. Unit: bytes.
pub const CACHE_BYTES_MIN: u64 = 16 << 20;

/// Delivery records that wait for the disk. Unit: records, about 300 B each. A second of 16,000 answers.
pub const DELIVERIES_QUEUE: usize = 16_384;

/// How long delivery records are collected before they are written together: what a kill can lose.
pub const DELIVERIES_COMMIT_EVERY: Duration = Duration::from_millis(100);

/// Delivery records written at once at the latest. Unit: bytes of text.
pub const DELIVERIES_COMMIT_BYTES: usize = 1 << 20;

/// The largest file of delivery records; an eighth of the whole log if that is less. Unit: bytes. Read as a whole.
pub const DELIVERIES_SEGMENT_BYTES: u64 = 8 << 20;

/// All delivery records that were not shipped, unless configured. Unit: bytes. Some 2 million records.
pub const DELIVERIES_BYTES_DEFAULT: u64 = 512 << 20;

/// What a full log keeps free for saying that it is full. Unit: bytes.
pub const DELIVERIES_RESERVE_BYTES: u64 = 4_096;

/// Delivery records given at once unless asked for more. Unit: bytes of text.
pub const DELIVERIES_PAGE_BYTES: u64 = 1 << 20;

/// Delivery records given at once at most: a file of them. Unit: bytes of text.
pub const DELIVERIES_PAGE_BYTES_MAX: u64 = 8 << 20;

/// Requests of one client network: an IPv4 address, or an IPv6 /64. A listener asks for 512 KiB every 26 s and four
/// times when a track begins; a carrier's translator with 2,000 of them behind one address makes about 150 a second
/// when all play at once. The burst is a minute of all of them tapping.
pub const RATE_NETWORK: Quota = Quota { per_second: 200, burst: 4_000 };

/// Requests of one neighbourhood: an IPv4 /24, or an IPv6 /48. Five translators at full load; what can be rented for
/// a few euros an hour is bounded to a small part of what an edge answers.
pub const RATE_NEIGHBOURHOOD: Quota = Quota { per_second: 1_000, burst: 20_000 };

/// Requests under one pseudonym. A listener with an album to take along asks as fast as the line carries 512 KiB
/// pieces: 25 MB a second for as long as it takes, and half a GiB at once.
pub const RATE_LISTENER: Quota = Quota { per_second: 50, burst: 1_000 };

/// Entries of each table of rates. Unit: networks or listeners that owe something, 16 B each, taken at the start: a MiB.
/// With more of them at once those who owe least are forgotten.
pub const RATE_ENTRIES: usize = 65_536;

/// Client networks that may fetch one play at a time. Unit: networks (IPv4 /24, IPv6 /56). A listener on a train, with
/// IPv4 and IPv6 of each of a few carriers and stations' Wi-Fi, stays below ten; a link in a forum does not.
pub const PLAYBACK_NETWORKS: usize = 16;

/// How long a network that fetched something of a play keeps its seat. Unit: seconds. Longer than players wait
/// between two requests: a buffer of ten minutes, and a pause for the doorbell.
pub const PLAYBACK_IDLE_SECONDS: u32 = 900;

/// Plays whose networks are remembered. Unit: plays, about 120 B each with a few networks. More than an edge of 10 Gbit/s
/// can serve at 160 kbit/s; further ones are let through, and counted.
pub const PLAYS_SEATED_MAX: usize = 65_536;

/// Places in each of the two tables of most wanted objects. Unit: objects, about 200 B each and 1.2 KiB at most. A count
/// is wrong by a five-hundredth of the requests of its period at most.
pub const POPULAR_PLACES: usize = 512;

/// How long one table of most wanted objects is counted into; two of them are shown. Unit: seconds.
pub const POPULAR_SECONDS: u64 = 600;

/// Examples that are kept of one kind of failure. Unit: requests, about 300 B each.
pub const MISHAPS_PER_KIND: usize = 8;

/// Kinds of failures that are told apart. Unit: kinds; there are some thirty.
pub const MISHAP_KINDS_MAX: usize = 64;

/// What an example keeps of a path. Unit: bytes; a request line may have 8 KiB.
pub const MISHAP_PATH_BYTES_MAX: usize = 200;
