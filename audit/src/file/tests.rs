use std::{
    fs::OpenOptions,
    io::Write as _,
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use tempfile::TempDir;

use super::*;
use crate::{folder::Stand, verify::verify};

/// A disk that takes so many bytes more, and then says that it is full: half a write may be on it.
struct Small(AtomicU64);

impl Disk for Small {
    fn append(&self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        let left = self.0.load(Ordering::SeqCst);
        let taken = bytes.len().min(usize::try_from(left).unwrap());
        file.write_all(&bytes[..taken])?;
        self.0.fetch_sub(taken as u64, Ordering::SeqCst);
        if taken < bytes.len() { Err(io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error())) } else { Ok(()) }
    }

    fn sync(&self, _: &File) -> io::Result<()> {
        Ok(())
    }
}

fn writing(disk: impl Disk, bytes: u64, age: Duration) -> Writing {
    Writing { seal: Seal::Plain, disk: Arc::new(disk), rotation: Rotation { bytes, age }, service: Arc::from("ext-authz") }
}

fn real() -> Writing {
    writing(RealDisk, u64::MAX, Duration::MAX)
}

fn region(directory: &TempDir) -> Folder {
    Folder::region(directory.path()).unwrap()
}

fn open(directory: &TempDir, writing: &Writing, known: Option<Left>) -> Files {
    Files::open(&region(directory), Names::new("tenant-acme", "ext-authz-a"), writing, known, 1_000_000).unwrap()
}

fn path(directory: &TempDir, name: &str) -> PathBuf {
    directory.path().join("tenant-acme").join(name)
}

fn text(directory: &TempDir) -> String {
    std::fs::read_to_string(path(directory, "ext-authz-a.jsonl")).unwrap()
}

/// What `verify` finds wrong.
fn faults(directory: &TempDir) -> Vec<String> {
    let report = verify(&[directory.path().to_path_buf()], &Seal::Plain, &[]).unwrap();
    report.faults.into_iter().map(|fault| fault.what).collect()
}

fn appended(directory: &TempDir, files: &mut Files, writing: &Writing, records: u64) {
    for nth in 0..records {
        files.append(&region(directory), writing, &[format!("\"nth\":{nth}")], 1_000_000).unwrap();
    }
}

#[test]
fn a_chain_goes_on_after_a_restart() {
    let directory = TempDir::new().unwrap();
    for _ in 0..3 {
        appended(&directory, &mut open(&directory, &real(), None), &real(), 2);
    }
    assert_eq!(text(&directory).lines().count(), 6);
    assert_eq!(faults(&directory), Vec::<String>::new());
}

#[test]
fn a_file_that_is_large_or_old_is_complete_and_the_chain_goes_on_in_the_next() {
    let directory = TempDir::new().unwrap();
    let small = writing(RealDisk, 500, Duration::MAX);
    let mut files = open(&directory, &small, None);
    appended(&directory, &mut files, &small, 10);
    let count = || region(&directory).below("tenant-acme").unwrap().files().unwrap().len();
    let before = count();
    assert!(before > 3, "{before}");

    let daily = writing(RealDisk, u64::MAX, Duration::from_secs(60));
    files.append(&region(&directory), &daily, &["\"a\":1"], 62_000_000).unwrap();
    assert_eq!(count(), before + 1);
    assert_eq!(text(&directory).lines().count(), 1);
    assert_eq!(faults(&directory), Vec::<String>::new());
}

#[test]
fn a_torn_line_is_kept_apart_and_the_cut_is_recorded() {
    let directory = TempDir::new().unwrap();
    appended(&directory, &mut open(&directory, &real(), None), &real(), 2);
    OpenOptions::new().append(true).open(path(&directory, "ext-authz-a.jsonl")).unwrap().write_all(b"{\"seq\":3,\"half").unwrap();
    appended(&directory, &mut open(&directory, &real(), None), &real(), 1);
    let text = text(&directory);
    let recovered: serde_json::Value = serde_json::from_str(text.lines().nth(2).unwrap()).unwrap();
    assert_eq!((&recovered["event"], &recovered["recovered"]["torn_bytes"]), (&"recovered".into(), &14.into()));
    let torn = recovered["recovered"]["torn_file"].as_str().unwrap();
    assert_eq!(std::fs::read(path(&directory, torn)).unwrap(), b"{\"seq\":3,\"half");
    assert_eq!(faults(&directory), Vec::<String>::new());
}

#[test]
fn records_that_are_gone_stay_missed_after_a_restart() {
    let directory = TempDir::new().unwrap();
    appended(&directory, &mut open(&directory, &real(), None), &real(), 5);
    let kept: String = text(&directory).lines().take(3).map(|line| format!("{line}\n")).collect();
    std::fs::write(path(&directory, "ext-authz-a.jsonl"), kept).unwrap();
    appended(&directory, &mut open(&directory, &real(), None), &real(), 1);
    assert_eq!(faults(&directory), ["records 4 to 5 are missing before it"]);
    assert!(text(&directory).contains(r#""lost_from":4,"lost_to":5"#));
}

#[test]
fn a_changed_last_record_is_not_continued_as_if_it_were_right() {
    let directory = TempDir::new().unwrap();
    appended(&directory, &mut open(&directory, &real(), None), &real(), 3);
    std::fs::write(path(&directory, "ext-authz-a.jsonl"), text(&directory).replace("\"nth\":2", "\"nth\":7")).unwrap();
    appended(&directory, &mut open(&directory, &real(), None), &real(), 1);
    let told = faults(&directory);
    assert_eq!(told[0], "was changed: its hash is not that of its content");
    assert!(told.len() == 2 && told[1].starts_with("the last record was changed"), "{told:?}");
    assert!(text(&directory).contains("the last record was changed"));
}

#[test]
fn a_stream_that_is_deleted_under_its_writer_is_missed() {
    let directory = TempDir::new().unwrap();
    let mut files = open(&directory, &real(), None);
    appended(&directory, &mut files, &real(), 3);
    let region = region(&directory);
    assert!(files.in_place(&region));
    std::fs::rename(directory.path().join("tenant-acme"), directory.path().join("moved")).unwrap();
    assert!(!files.in_place(&region));
    std::fs::remove_dir_all(directory.path().join("moved")).unwrap();
    assert!(!files.in_place(&region));
    appended(&directory, &mut open(&directory, &real(), Some(files.left())), &real(), 1);
    assert_eq!(faults(&directory), ["records 1 to 3 are missing before it"]);
}

#[test]
fn s11_a_file_that_was_swapped_or_cut_under_its_writer_is_noticed() {
    let copied = |path: PathBuf| {
        let copy = path.with_extension("copy");
        std::fs::copy(&path, &copy).unwrap();
        std::fs::rename(copy, path).unwrap();
    };
    let moved = |directory: &TempDir| {
        std::fs::rename(directory.path().join("tenant-acme"), directory.path().join("moved")).unwrap();
        directory.path().join("tenant-acme")
    };
    let longer = |path: PathBuf, by: i64| {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(file.metadata().unwrap().len().checked_add_signed(by).unwrap()).unwrap();
    };
    let swaps: [&dyn Fn(&TempDir); 9] = [
        &|directory| longer(path(directory, "ext-authz-a.jsonl"), -1),
        &|directory| longer(path(directory, "ext-authz-a.jsonl"), 1),
        &|directory| longer(path(directory, "ext-authz-a.head"), 1),
        &|directory| copied(path(directory, "ext-authz-a.jsonl")),
        &|directory| copied(path(directory, "ext-authz-a.head")),
        &|directory| std::fs::remove_file(path(directory, "ext-authz-a.jsonl")).unwrap(),
        &|directory| std::fs::remove_file(path(directory, "ext-authz-a.head")).unwrap(),
        // The same files in another folder, and the same folder behind a link.
        &|directory| {
            std::fs::create_dir(moved(directory)).unwrap();
            for name in ["ext-authz-a.jsonl", "ext-authz-a.head"] {
                std::fs::rename(directory.path().join("moved").join(name), path(directory, name)).unwrap();
            }
        },
        &|directory| std::os::unix::fs::symlink("moved", moved(directory)).unwrap(),
    ];
    for (nth, swap) in swaps.iter().enumerate() {
        let directory = TempDir::new().unwrap();
        let mut files = open(&directory, &real(), None);
        appended(&directory, &mut files, &real(), 2);
        assert!(files.in_place(&region(&directory)));
        swap(&directory);
        assert!(!files.in_place(&region(&directory)), "{nth}");
        if nth < 8 {
            files = open(&directory, &real(), Some(files.left()));
            assert!(files.in_place(&region(&directory)), "{nth}");
        }
    }
}

#[test]
fn a_full_disk_takes_all_of_a_write_or_nothing() {
    let directory = TempDir::new().unwrap();
    let full = writing(Small(AtomicU64::new(450)), u64::MAX, Duration::MAX);
    let mut files = open(&directory, &full, None);
    appended(&directory, &mut files, &full, 2);
    for _ in 0..2 {
        let error = files.append(&region(&directory), &full, &["\"a\":1", "\"a\":2"], 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(text(&directory).lines().count(), 2);
        assert_eq!(faults(&directory), Vec::<String>::new());
    }
    appended(&directory, &mut files, &real(), 1);
    drop(files);
    appended(&directory, &mut open(&directory, &real(), None), &real(), 1);
    assert_eq!((text(&directory).lines().count(), faults(&directory)), (4, vec![]));
}

#[test]
fn the_real_full_device_says_so() {
    let file = OpenOptions::new().write(true).open("/dev/full").unwrap();
    assert_eq!(RealDisk.append(&file, b"x").unwrap_err().kind(), io::ErrorKind::StorageFull);
}

/// A disk that writes every line and then fails, and cannot cut a file back until it is mended.
#[derive(Clone, Default)]
struct Stuck {
    fails: Arc<AtomicBool>,
}

impl Disk for Stuck {
    fn append(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        RealDisk.append(file, bytes)?;
        if self.fails.load(Ordering::SeqCst) { Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())) } else { Ok(()) }
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        RealDisk.sync(file)
    }

    fn cut(&self, file: &File, bytes: u64) -> io::Result<()> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()));
        }
        RealDisk.cut(file, bytes)
    }
}

#[test]
fn s11_nothing_follows_what_was_refused_and_could_not_be_taken_back() {
    let stuck = Stuck::default();
    let writing = writing(stuck.clone(), u64::MAX, Duration::MAX);
    for anew in [false, true] {
        let directory = TempDir::new().unwrap();
        let mut files = open(&directory, &writing, None);
        appended(&directory, &mut files, &writing, 2);
        stuck.fails.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            assert!(files.append(&region(&directory), &writing, &["\"refused\":1"], 1_000_000).is_err());
            assert_eq!(text(&directory).lines().count(), 3, "the first of them stands there, and none after it");
        }
        let left = files.left();
        assert!(left.refused_from.is_some());
        if anew {
            drop(files);
            assert!(Files::open(&region(&directory), Names::new("tenant-acme", "ext-authz-a"), &writing, Some(left), 1_000_000).is_err());
            stuck.fails.store(false, Ordering::SeqCst);
            files = open(&directory, &writing, Some(left));
        }
        stuck.fails.store(false, Ordering::SeqCst);
        appended(&directory, &mut files, &writing, 1);
        assert!(!text(&directory).contains("refused"));
        assert_eq!((text(&directory).lines().count(), faults(&directory)), (3, vec![]));
    }
}

#[test]
fn s11_what_a_killed_writer_left_behind_the_head_is_marked() {
    let stuck = Stuck::default();
    let writing = writing(stuck.clone(), u64::MAX, Duration::MAX);
    let directory = TempDir::new().unwrap();
    let mut files = open(&directory, &writing, None);
    appended(&directory, &mut files, &writing, 2);
    stuck.fails.store(true, Ordering::SeqCst);
    assert!(files.append(&region(&directory), &writing, &["\"refused\":1", "\"refused\":2"], 1_000_000).is_err());
    // The process ends before the disk is well.
    drop(files);
    appended(&directory, &mut open(&directory, &real(), None), &real(), 1);
    let text = text(&directory);
    let recovered: serde_json::Value = serde_json::from_str(text.lines().nth(4).unwrap()).unwrap();
    assert_eq!(recovered["recovered"], serde_json::json!({ "unanswered_from": 3, "unanswered_to": 4 }));
    assert_eq!(faults(&directory), Vec::<String>::new());
}

/// Closes a stream of two records, does something to its folder, and opens it again as it was left, if it still stands so.
fn reopened(directory: &TempDir, meanwhile: impl FnOnce()) -> Option<Files> {
    let mut files = open(directory, &real(), None);
    appended(directory, &mut files, &real(), 2);
    let closed = files.close().unwrap();
    meanwhile();
    closed.reopen(&region(directory)).unwrap()
}

#[test]
fn a_stream_that_was_closed_goes_on_as_it_was_left() {
    let directory = TempDir::new().unwrap();
    let mut files = reopened(&directory, || ()).unwrap();
    appended(&directory, &mut files, &real(), 2);
    assert_eq!((files.left().end.seq, files.stored()), (4, text(&directory).len() as u64));
    assert_eq!(text(&directory).lines().count(), 4);
    assert_eq!(faults(&directory), Vec::<String>::new());
}

#[test]
fn s11_a_stream_that_was_touched_while_it_was_closed_is_looked_at() {
    let data = |directory: &TempDir| path(directory, "ext-authz-a.jsonl");
    // With the same bytes, until the disk's clock has moved on.
    let rewrite = |path: PathBuf| {
        let (bytes, before) = (std::fs::read(&path).unwrap(), Stand::of(File::open(&path).unwrap()).unwrap());
        while Stand::of(File::open(&path).unwrap()).unwrap() == before {
            let mut file = OpenOptions::new().write(true).open(&path).unwrap();
            file.write_all(&bytes).unwrap();
        }
    };
    let touches: [&dyn Fn(&TempDir); 6] = [
        &|directory| rewrite(data(directory)),
        &|directory| rewrite(path(directory, "ext-authz-a.head")),
        &|directory| OpenOptions::new().write(true).open(data(directory)).unwrap().set_len(10).unwrap(),
        &|directory| std::fs::remove_file(data(directory)).unwrap(),
        &|directory| std::fs::remove_file(path(directory, "ext-authz-a.head")).unwrap(),
        &|directory| std::fs::rename(directory.path().join("tenant-acme"), directory.path().join("moved")).unwrap(),
    ];
    for (nth, touch) in touches.iter().enumerate() {
        let directory = TempDir::new().unwrap();
        assert!(reopened(&directory, || touch(&directory)).is_none(), "{nth}");
    }
}

#[test]
fn s11_what_was_cut_or_made_longer_before_its_stream_was_closed_is_looked_at() {
    for (name, bytes) in [("ext-authz-a.jsonl", 0), ("ext-authz-a.jsonl", 1_000_000), ("ext-authz-a.head", 10)] {
        let directory = TempDir::new().unwrap();
        let mut files = open(&directory, &real(), None);
        appended(&directory, &mut files, &real(), 2);
        OpenOptions::new().write(true).open(path(&directory, name)).unwrap().set_len(bytes).unwrap();
        assert!(files.close().is_none(), "{name}");
    }
}

#[test]
fn s11_what_somebody_else_put_behind_our_last_record_is_told_as_nobodys_answer() {
    let directory = TempDir::new().unwrap();
    let mut ours = open(&directory, &real(), None);
    appended(&directory, &mut ours, &real(), 2);
    let known = ours.left();
    drop(ours);
    appended(&directory, &mut open(&directory, &real(), None), &real(), 1);
    // The same process opens it again, and goes on.
    drop(open(&directory, &real(), Some(known)));
    let text = text(&directory);
    let recovered: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(recovered["recovered"], serde_json::json!({ "unanswered_from": 3, "unanswered_to": 3 }));
}
