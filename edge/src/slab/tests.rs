use std::os::unix::fs::FileExt;

use super::*;

const BLOCK: usize = BLOCK_BYTES as usize;
const KEY: BlockKey = BlockKey { version: VersionId(3), block: 1 };
const BACKENDS: [Backend; 2] = [Backend::Mmap, Backend::Pread];

fn slab(dir: &Path) -> Arc<Slab> {
    with(dir, Backend::Mmap)
}

fn with(dir: &Path, backend: Backend) -> Arc<Slab> {
    let options = Options { bytes: CACHE_BYTES_MIN, backend, drill: None };
    Slab::open_with(dir, options).expect("a folder with room")
}

fn write(slab: &Slab, slot: Slot, bytes: &[u8]) {
    slab.write(slot, KEY, Class::Body, &[Bytes::copy_from_slice(bytes)]).unwrap();
}

fn read(slab: &Arc<Slab>, slot: Slot, len: usize) -> Result<Bytes, Damaged> {
    Ok(slab.pin(slot, KEY, len).load()?.into_bytes(0..len, &Held::default()))
}

fn taken(pin: Pin, held: &Held) -> Bytes {
    let len = pin.as_ref().len();
    let Ok(loaded) = pin.ready() else { panic!("a block just written is ready") };
    loaded.into_bytes(0..len, held)
}

#[test]
fn what_was_written_is_read() {
    for backend in BACKENDS {
        let dir = tempfile::tempdir().unwrap();
        let slab = with(dir.path(), backend);
        let last = Slot(slab.slots() - 1);
        slab.write(last, KEY, Class::Head, &[Bytes::from(vec![1; 100]), Bytes::from(vec![2; 28])]).unwrap();
        let bytes = read(&slab, last, 128).unwrap();
        assert_eq!(&bytes[..100], &[1; 100]);
        assert_eq!(&bytes[100..], &[2; 28]);
    }
}

#[test]
fn a_slot_is_pinned_until_the_last_slice_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let slab = slab(dir.path());
    write(&slab, Slot(3), &[7; 1_000]);
    let bytes = taken(slab.pin(Slot(3), KEY, 1_000), &Held::default());
    let part = bytes.slice(10..20);
    drop(bytes);
    assert!(slab.is_pinned(Slot(3)));
    drop(part);
    assert!(!slab.is_pinned(Slot(3)));
}

#[test]
fn what_was_read_into_a_buffer_holds_no_slot() {
    let dir = tempfile::tempdir().unwrap();
    let slab = with(dir.path(), Backend::Pread);
    write(&slab, Slot(3), &[7; 1_000]);
    let bytes = read(&slab, Slot(3), 1_000).unwrap();
    assert!(!slab.is_pinned(Slot(3)));
    assert_eq!(bytes, vec![7; 1_000]);
}

#[test]
fn beyond_half_the_slots_bytes_are_copied_out() {
    let dir = tempfile::tempdir().unwrap();
    let slab = slab(dir.path());
    let last = Slot(slab.slots() - 1);
    write(&slab, last, &[7; 8]);
    let held: Vec<_> = (0..=slab.slots() / 2).map(|slot| slab.pin(Slot(slot), KEY, 8)).collect();
    assert!(slab.is_crowded());
    let copied = taken(slab.pin(last, KEY, 8), &Held::default());
    assert!(!slab.is_pinned(last));
    drop((held, copied));
    assert!(!slab.is_crowded());
}

#[test]
fn one_reader_holds_so_many_slots_and_copies_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let slab = slab(dir.path());
    let most = crate::limits::PINS_PER_READER_MAX;
    (0..most + 3).for_each(|slot| write(&slab, Slot(slot), &[slot as u8; 8]));
    let (greedy, modest) = (Held::default(), Held::default());
    let mut kept: Vec<_> = (0..most + 2).map(|slot| taken(slab.pin(Slot(slot), KEY, 8), &greedy)).collect();
    assert_eq!(slab.counts().pinned, most);
    kept.push(taken(slab.pin(Slot(most), KEY, 8), &modest));
    assert_eq!(slab.counts().pinned, most + 1, "another reader has a bound of its own");
    kept.remove(0);
    kept.push(taken(slab.pin(Slot(most + 2), KEY, 8), &greedy));
    assert_eq!(slab.counts().pinned, most + 1, "what was let go may be held again");
    assert!(kept.iter().all(|bytes| bytes.len() == 8));
}

#[test]
fn a_second_edge_on_the_same_folder_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let _first = slab(dir.path());
    assert!(matches!(Slab::open(dir.path(), CACHE_BYTES_MIN), Err(SlabError::Locked(_))));
}

#[test]
fn a_disk_without_the_room_is_named_and_left_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    write(&slab(dir.path()), Slot(0), &[7; 8]);
    let refused = Slab::open(dir.path(), 1 << 50);
    assert!(matches!(refused, Err(SlabError::Full { bytes, .. }) if bytes == 1 << 50));
    assert!(!dir.path().join("slab-0001").exists());
    assert_eq!(read(&slab(dir.path()), Slot(0), 8).unwrap(), vec![7; 8], "the smaller cache is as good as before");
}

#[test]
fn a_cache_that_nobody_sized_suits_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let free = free_bytes(dir.path()).unwrap();
    assert_eq!(fitting_bytes(dir.path(), CACHE_BYTES_MIN).unwrap(), CACHE_BYTES_MIN);
    let fitting = fitting_bytes(dir.path(), free).unwrap();
    // Others use the disk meanwhile: the half may have become a quarter.
    assert!(fitting == (free / 2).max(CACHE_BYTES_MIN) || fitting == free / 4, "{fitting} of {free}");
    write(&slab(dir.path()), Slot(0), &[7; 8]);
    let there = allocated_bytes(dir.path()).unwrap();
    assert_eq!(fitting_bytes(dir.path(), there).unwrap(), there, "what is there already costs nothing");
}

#[test]
fn bytes_are_checked_on_their_first_touch_after_a_start() {
    for backend in BACKENDS {
        let dir = tempfile::tempdir().unwrap();
        write(&slab(dir.path()), Slot(2), &[7; BLOCK]);
        write(&slab(dir.path()), Slot(4), &[7; BLOCK]);
        flip(&dir.path().join("slab-0000"), 2 * BLOCK_BYTES + 70_000);
        let slab = with(dir.path(), backend);
        assert!(slab.pin(Slot(4), KEY, BLOCK).ready().is_err(), "not before it was checked");
        assert_eq!(read(&slab, Slot(4), BLOCK).unwrap(), vec![7; BLOCK]);
        assert_eq!(slab.pin(Slot(4), KEY, BLOCK).ready().is_ok(), backend == Backend::Mmap);
        assert_eq!(read(&slab, Slot(2), BLOCK), Err(Damaged));
        assert_eq!(slab.counts().damaged, 1);
        flip(&dir.path().join("slab-0000"), 2 * BLOCK_BYTES + 70_000);
        assert_eq!(read(&slab, Slot(2), BLOCK), Err(Damaged), "its record is gone");
    }
}

#[test]
fn bytes_of_another_block_are_damaged_bytes() {
    for backend in BACKENDS {
        let dir = tempfile::tempdir().unwrap();
        let slab = with(dir.path(), backend);
        write(&slab, Slot(2), &[7; BLOCK]);
        let other = BlockKey { block: 9, ..KEY };
        assert!(matches!(slab.pin(Slot(2), other, BLOCK).load(), Err(Damaged)));
    }
}

struct BadSector(Slot);

impl Drill for BadSector {
    fn before_load(&self, slot: Slot) -> io::Result<()> {
        if slot == self.0 { Err(io::Error::from_raw_os_error(libc::EHWPOISON)) } else { Ok(()) }
    }
}

#[test]
fn a_sector_that_cannot_be_read_costs_its_block() {
    for backend in BACKENDS {
        let dir = tempfile::tempdir().unwrap();
        let drill: Option<Arc<dyn Drill>> = Some(Arc::new(BadSector(Slot(1))));
        let slab = Slab::open_with(dir.path(), Options { bytes: CACHE_BYTES_MIN, backend, drill }).unwrap();
        (0..3).for_each(|slot| write(&slab, Slot(slot), &[7; BLOCK]));
        assert!(read(&slab, Slot(0), BLOCK).is_ok());
        assert_eq!(read(&slab, Slot(1), BLOCK), Err(Damaged));
        assert!(read(&slab, Slot(2), BLOCK).is_ok());
    }
}

#[test]
fn a_page_behind_the_end_of_a_damaged_file_is_an_error_and_no_signal() {
    let dir = tempfile::tempdir().unwrap();
    let slab = slab(dir.path());
    write(&slab, Slot(120), &[7; BLOCK]);
    // Against the contract: somebody cuts the file under the mapping. Only Drop may follow in this process.
    let file = std::fs::OpenOptions::new().write(true).open(dir.path().join("slab-0000")).unwrap();
    file.set_len(64 * BLOCK_BYTES).unwrap();
    assert_eq!(read(&slab, Slot(120), BLOCK), Err(Damaged));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_block_that_left_memory_costs_the_reactor_no_major_fault() {
    // The target folder is on a disk; /tmp may be memory, from which nothing can be paged out.
    let dir = tempfile::tempdir_in(std::env::current_exe().unwrap().parent().unwrap()).unwrap();
    let slab = slab(dir.path());
    let block = Bytes::from(vec![42; BLOCK]);
    write(&slab, Slot(5), &block);
    let gone = (0..50).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(5));
        slab.page_out(Slot(5)).unwrap()
    });
    assert!(gone, "the kernel let go of the block");
    let before = major_faults();
    let loaded = crate::serve::warm(slab.pin(Slot(5), KEY, BLOCK)).await.unwrap();
    assert!(slab.is_resident(Slot(5), BLOCK));
    assert_eq!(loaded.into_bytes(0..BLOCK, &Held::default()), block);
    assert_eq!(major_faults(), before);
    assert_eq!(slab.counts().loaded, 1);
}

fn flip(path: &Path, at: u64) {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

/// Page faults of this thread that had to wait for a disk.
#[cfg(target_os = "linux")]
fn major_faults() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    // After the name in parentheses: state is field 3, majflt field 12.
    stat.rsplit(')').next().unwrap().split_whitespace().nth(9).unwrap().parse().unwrap()
}

#[test]
fn a_cache_that_is_handed_over_is_written_by_nobody_until_its_former_owner_has_left() {
    let dir = tempfile::tempdir().unwrap();
    let old = slab(dir.path());
    write(&old, Slot(5), &[7; BLOCK]);
    let of = |bytes| Options { bytes, ..Options::default() };
    assert!(matches!(Slab::open_with(dir.path(), of(CACHE_BYTES_MIN)), Err(SlabError::Locked(_))));

    let lease = old.hand_over().unwrap();
    let resized = Slab::take_over(dir.path(), of(2 * CACHE_BYTES_MIN), Some(&lease));
    assert!(matches!(resized, Err(SlabError::Resized)));
    let new = Slab::take_over(dir.path(), of(CACHE_BYTES_MIN), Some(&lease)).unwrap();
    drop(lease);
    let store = |slab: &Slab, slot| slab.write(slot, KEY, Class::Body, &[Bytes::from(vec![8; BLOCK])]);
    for slab in [&old, &new] {
        assert!(!slab.is_ours() && store(slab, Slot(5)).is_err());
    }
    assert_eq!(read(&old, Slot(5), BLOCK).unwrap(), vec![7; BLOCK]);

    old.former_owner_left();
    assert!(!old.is_ours(), "who gave it away does not get it back");
    drop(old);
    new.former_owner_left();
    store(&new, Slot(5)).unwrap();
    assert!(
        matches!(Slab::open_with(dir.path(), of(CACHE_BYTES_MIN)), Err(SlabError::Locked(_))),
        "it has an owner all the time"
    );
}
