//! Every interleaving of readers, eviction and reuse of one slot, by `loom`: the very file that the
//! edge runs, under loom's atomics, around a table that is as small as a table can be.
//!
//! The slot's bytes are a loom cell: a write while anybody reads, or without an order between the
//! two, is a failure of the model by itself.

#![allow(unsafe_code, reason = "loom hands out raw pointers, so that it can watch them")]

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU32, Ordering};
}

#[path = "../src/pins.rs"]
#[allow(dead_code, reason = "the model needs the protocol, not the counters around it")]
mod pins;

use loom::{
    cell::UnsafeCell,
    sync::{Arc, Mutex},
    thread,
};
use pins::Pins;

/// One slot, one table, and the number of the block whose bytes the slot holds.
struct World {
    /// Which block is present, as `Index` would say. `None` while the slot is being written.
    present: Mutex<Option<u32>>,
    pins: Pins,
    bytes: UnsafeCell<u32>,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self { present: Mutex::new(Some(1)), pins: Pins::new(1), bytes: UnsafeCell::new(1) })
    }

    /// A reader: pins what is present, reads it outside of the lock, lets go.
    fn read(&self) {
        let Some(block) = self.pin() else { return };
        self.bytes.with(|bytes| {
            // SAFETY: loom checks that nobody writes meanwhile; that is what the model is for.
            assert_eq!(unsafe { *bytes }, block, "the bytes are of the block that was looked for");
        });
        self.pins.release(0);
    }

    fn pin(&self) -> Option<u32> {
        let present = self.present.lock().unwrap();
        let block = (*present)?;
        self.pins.hold(0);
        Some(block)
    }

    /// A fill: takes the slot if nobody holds it, writes it outside of the lock, publishes it.
    fn reuse(&self, block: u32) -> bool {
        {
            let mut present = self.present.lock().unwrap();
            if present.is_none() || self.pins.is_held(0) {
                return false;
            }
            *present = None;
        }
        self.write(block);
        *self.present.lock().unwrap() = Some(block);
        true
    }

    fn write(&self, block: u32) {
        self.bytes.with_mut(|bytes| {
            // SAFETY: as above.
            unsafe { *bytes = block };
        });
    }
}

#[test]
fn readers_never_see_a_slot_change() {
    loom::model(|| {
        let world = World::new();
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let world = world.clone();
                thread::spawn(move || world.read())
            })
            .collect();
        world.reuse(2);
        for reader in readers {
            reader.join().unwrap();
        }
        assert!(!world.pins.is_held(0));
        assert_eq!(world.pins.held(), 0, "whoever held has let go, and the count says so");
    });
}

#[test]
fn two_fills_never_write_one_slot_at_a_time() {
    loom::model(|| {
        let world = World::new();
        let others: Vec<_> = [2, 3]
            .map(|block| {
                let world = world.clone();
                thread::spawn(move || {
                    world.reuse(block);
                })
            })
            .into();
        world.read();
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(world.pins.held(), 0);
    });
}

#[test]
fn a_block_removed_while_it_is_read_waits_for_its_reader() {
    loom::model(|| {
        let world = World::new();
        assert_eq!(world.pin(), Some(1));
        let reader = thread::spawn({
            let world = world.clone();
            move || {
                // SAFETY: as above.
                world.bytes.with(|bytes| assert_eq!(unsafe { *bytes }, 1));
                world.pins.release(0);
            }
        });
        // A purge: no longer present, its slot in limbo until the reader has gone.
        *world.present.lock().unwrap() = None;
        let free = {
            let _table = world.present.lock().unwrap();
            !world.pins.is_held(0)
        };
        if free {
            world.write(2);
        }
        reader.join().unwrap();
        assert!(!world.pins.is_held(0), "and then the slot is free");
    });
}

#[test]
#[should_panic]
fn the_model_finds_a_pin_that_was_made_without_the_table() {
    loom::model(|| {
        let world = World::new();
        let reader = thread::spawn({
            let world = world.clone();
            move || {
                let present = *world.present.lock().unwrap();
                // Too late: the table was let go between the look and the hold.
                let Some(block) = present else { return };
                world.pins.hold(0);
                // SAFETY: none; that is the point.
                world.bytes.with(|bytes| assert_eq!(unsafe { *bytes }, block));
                world.pins.release(0);
            }
        });
        world.reuse(2);
        reader.join().unwrap();
    });
}
