use std::{fs, sync::Arc, time::Duration};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{
    file::{Files, RealDisk, Writing},
    settings::Rotation,
};

/// Writes a stream of so many records, `rotate` bytes a file; its folder is `<directory>/tenant-acme`.
fn stream(directory: &TempDir, records: usize, rotate: u64) {
    let rotation = Rotation { bytes: rotate, age: Duration::MAX };
    let writing = Writing { seal: Seal::Plain, disk: Arc::new(RealDisk), rotation, service: Arc::from("ext-authz") };
    let region = Folder::region(directory.path()).unwrap();
    let mut files = Files::open(&region, Names::new("tenant-acme", "ext-authz-a"), &writing, None, 0).unwrap();
    for nth in 0..records {
        files.append(&region, &writing, &[format!("\"nth\":{nth}")], 0).unwrap();
    }
}

fn run(directory: &TempDir, anchors: &[Anchor]) -> Report {
    verify(&[directory.path().to_path_buf()], &Seal::Plain, anchors).unwrap()
}

/// The files of the stream in their order, each with its lines.
fn files(directory: &TempDir) -> Vec<(PathBuf, Vec<String>)> {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory.path().join("tenant-acme")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
    // `a.000.jsonl` sorts before `a.jsonl`.
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect())).collect()
}

fn put(path: &Path, lines: &[String]) {
    fs::write(path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
}

#[test]
fn a_whole_stream_over_several_files_is_whole() {
    let directory = TempDir::new().unwrap();
    stream(&directory, 30, 2000);
    assert!(files(&directory).len() > 2);
    let report = run(&directory, &[]);
    assert_eq!(report.faults, []);
    assert_eq!((report.streams[0].records, report.streams[0].end.seq, report.streams[0].begins), (30, 30, None));
}

#[test]
fn each_fault_is_told_with_its_file_and_line() {
    let change = |change: fn(&mut Vec<String>)| {
        let directory = TempDir::new().unwrap();
        stream(&directory, 5, u64::MAX);
        let (path, mut lines) = files(&directory).remove(0);
        change(&mut lines);
        put(&path, &lines);
        let faults = run(&directory, &[]).faults;
        let told: Vec<String> = faults.iter().map(|fault| format!("{}:{}", fault.line, fault.what)).collect();
        told.join("; ")
    };
    assert_eq!(change(|lines| lines[2] = lines[2].replace("\"nth\":2", "\"nth\":9")), "3:was changed: its hash is not that of its content");
    assert_eq!(change(|lines| drop(lines.remove(2))), "3:records 3 to 3 are missing before it");
    assert_eq!(change(|lines| lines.insert(2, lines[1].clone())), "3:record 2 stands after record 2");
    assert_eq!(
        change(|lines| lines.swap(1, 2)),
        "2:records 2 to 2 are missing before it; 3:record 2 stands after record 3; 4:records 3 to 3 are missing before it"
    );
    assert_eq!(change(|lines| lines.truncate(3)), "1:records 4 to 5 are missing at the end");
    assert_eq!(change(Vec::clear), "1:records 1 to 5 are missing at the end");
    assert_eq!(change(|lines| drop(lines.remove(0))), "1:records 1 to 1 are missing before it");
    assert_eq!(change(|lines| lines.insert(2, "garbage".to_owned())), "3:is no record of a chain");
}

#[test]
fn a_stream_in_anothers_place_and_a_missing_head_are_told() {
    let directory = TempDir::new().unwrap();
    stream(&directory, 3, u64::MAX);
    let (acme, globex) = (directory.path().join("tenant-acme"), directory.path().join("tenant-globex"));
    fs::rename(&acme, &globex).unwrap();
    let faults = run(&directory, &[]).faults;
    assert_eq!(faults[0].what, "does not follow the record before it");
    fs::rename(&globex, &acme).unwrap();
    assert_eq!(run(&directory, &[]).faults, []);
    fs::remove_file(acme.join("ext-authz-a.head")).unwrap();
    assert_eq!(run(&directory, &[]).faults.len(), 1);
}

#[test]
fn what_looks_like_a_stream_and_is_not_read_is_told() {
    let directory = TempDir::new().unwrap();
    let told = |path: &Path| -> Vec<String> {
        let report = verify(&[path.to_path_buf()], &Seal::Plain, &[]).unwrap();
        report.faults.into_iter().map(|fault| fault.what).collect()
    };
    assert_eq!(told(directory.path()), ["holds no audit stream"]);
    stream(&directory, 3, u64::MAX);
    assert_eq!(told(directory.path()), [""; 0]);

    // Another disk's folder in a region's place: its streams are read, and what was done to them is found.
    let root = TempDir::new().unwrap();
    std::os::unix::fs::symlink(directory.path(), root.path().join("eu")).unwrap();
    assert_eq!(told(root.path()), [""; 0]);
    let (path, mut lines) = files(&directory).remove(0);
    let whole = lines.clone();
    lines.remove(1);
    put(&path, &lines);
    assert_eq!(told(root.path()), ["records 2 to 2 are missing before it"]);
    put(&path, &whole);

    let acme = directory.path().join("tenant-acme");
    let elsewhere = acme.join("kept.txt");
    fs::rename(&path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    assert!(told(directory.path()).contains(&"has the name of a stream's file and is none: not read".to_owned()));
    fs::remove_file(&path).unwrap();
    fs::rename(&elsewhere, &path).unwrap();

    std::os::unix::fs::symlink("nowhere", acme.join("lost")).unwrap();
    assert_eq!(told(directory.path()).len(), 1);
    fs::remove_file(acme.join("lost")).unwrap();
    let deep = directory.path().join("a/b/c/d");
    fs::create_dir_all(&deep).unwrap();
    assert_eq!(told(directory.path()), ["lies deeper than streams do: not read"]);
}

#[test]
fn what_a_writer_found_wrong_and_went_on_after_is_told_for_as_long_as_its_record_stands() {
    for head_is in ["gone", "empty"] {
        let directory = TempDir::new().unwrap();
        stream(&directory, 5, u64::MAX);
        let (path, mut lines) = files(&directory).remove(0);
        lines.truncate(3);
        put(&path, &lines);
        let head = path.with_extension("head");
        if head_is == "gone" {
            fs::remove_file(&head).unwrap()
        } else {
            fs::write(&head, "").unwrap()
        }
        stream(&directory, 2, u64::MAX);
        stream(&directory, 2, u64::MAX);
        let faults = run(&directory, &[]).faults;
        assert!(faults.len() == 1 && faults[0].line == 4 && faults[0].what.starts_with("the head "), "{faults:?}");
    }
    // A record that only speaks of such an event is none.
    let directory = TempDir::new().unwrap();
    let writing = Writing {
        seal: Seal::Plain,
        disk: Arc::new(RealDisk),
        rotation: Rotation { bytes: u64::MAX, age: Duration::MAX },
        service: "a".into(),
    };
    let region = Folder::region(directory.path()).unwrap();
    let mut files = Files::open(&region, Names::new("tenant-acme", "ext-authz-a"), &writing, None, 0).unwrap();
    files.append(&region, &writing, &[r#""event":"denied","of":{"event":"recovered","recovered":{"wrong":["all"]}}"#], 0).unwrap();
    assert_eq!(run(&directory, &[]).faults, []);
}

#[test]
fn a_number_past_all_others_is_a_fault_like_any() {
    let directory = TempDir::new().unwrap();
    stream(&directory, 2, u64::MAX);
    let (path, mut lines) = files(&directory).remove(0);
    let mut last = Vec::new();
    let end = End { seq: u64::MAX - 1, hash: Seal::Plain.genesis("any").hash }.append(&Seal::Plain, b"\"a\":1", &mut last);
    lines.push(String::from_utf8(last).unwrap().trim_end().to_owned());
    lines.push(lines[0].clone());
    put(&path, &lines);
    assert_eq!(end.seq, u64::MAX);
    let told: Vec<String> = run(&directory, &[]).faults.into_iter().map(|fault| fault.what).collect();
    assert_eq!(
        told[..2],
        [format!("records 3 to {} are missing before it", u64::MAX - 1), format!("record 1 stands after record {}", u64::MAX)]
    );
}

#[test]
fn a_stream_is_whole_while_it_is_written() {
    let directory = TempDir::new().unwrap();
    stream(&directory, 1, 2000);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for _ in 0..40 {
                stream(&directory, 50, 2000);
            }
            done.store(true, std::sync::atomic::Ordering::Release);
        });
        let mut looks = 0;
        while !done.load(std::sync::atomic::Ordering::Acquire) || looks == 0 {
            assert_eq!(run(&directory, &[]).faults, []);
            looks += 1;
        }
        writer.join().unwrap();
    });
    assert_eq!(run(&directory, &[]).streams[0].records, 2001);
}

#[test]
fn an_anchor_stands_for_files_that_were_taken_away_and_finds_a_rollback() {
    let directory = TempDir::new().unwrap();
    stream(&directory, 30, 2000);
    let all = files(&directory);
    let last = Link::read(&Seal::Plain, all[0].1.last().unwrap().as_bytes()).unwrap().end;
    fs::remove_file(&all[0].0).unwrap();
    assert_eq!(run(&directory, &[]).faults.len(), 1);
    let report = run(&directory, &[Anchor(last)]);
    assert_eq!((report.faults.len(), report.streams[0].begins), (0, Some(last.seq + 1)));

    let later: Anchor = format!("31:{}", last.hash).parse().unwrap();
    assert_eq!(run(&directory, &[Anchor(last), later]).faults.len(), 1, "a record that was there once");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever somebody without the writer's head does to the lines: any change, removal, repetition, exchange or cut is found.
    #[test]
    fn any_tampering_of_a_random_chain_is_found(records in 2_usize..40, rotate in 500_u64..5000, what in 0..5, a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>()) {
        let directory = TempDir::new().unwrap();
        stream(&directory, records, rotate);
        let files = files(&directory);
        let mut lines: Vec<(usize, String)> =
            files.iter().enumerate().flat_map(|(file, (_, lines))| lines.iter().map(move |line| (file, line.clone()))).collect();
        let (one, other) = (a.index(records), b.index(records));
        match what {
            0 => {
                let line = &mut lines[one].1;
                let at = b.index(line.len());
                let was = line.as_bytes()[at];
                line.replace_range(at..=at, if was == b'x' { "y" } else { "x" });
            }
            1 => drop(lines.remove(one)),
            2 => lines.insert(one, lines[other].clone()),
            3 => {
                prop_assume!(one != other);
                let line = lines[one].1.clone();
                lines[one].1 = std::mem::replace(&mut lines[other].1, line);
            }
            _ => lines.truncate(one),
        }
        for (file, (path, _)) in files.iter().enumerate() {
            put(path, &lines.iter().filter(|(own, _)| *own == file).map(|(_, line)| line.clone()).collect::<Vec<_>>());
        }
        prop_assert_ne!(run(&directory, &[]).faults, vec![]);
    }
}
