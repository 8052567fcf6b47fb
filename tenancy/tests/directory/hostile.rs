//! S16: a partition is hostile input. Each test is what a tenant could put into the folder that it may write to.

use std::{fs, os::unix::fs::symlink, path::Path};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::{Config, write};

/// A configuration with a good tenant, a secret that no partition may show, and a hostile partition.
fn hostile(prepare: impl FnOnce(&Path)) -> Config {
    let config = Config::with(|path| {
        write(&path.join("namespaces/victim/contract.yaml"), "victim's own words");
        write(&path.join("namespaces/hostile/good.yaml"), "good");
        prepare(&path.join("namespaces/hostile"));
    });
    assert_eq!(config.texts("victim").len(), 1, "nobody else is touched");
    let everything = format!("{:?} {:?}", config.texts("hostile"), config.faults("hostile"));
    assert!(!everything.contains("victim") && !everything.contains("root:"), "another's words were quoted: {everything}");
    config
}

/// Asserts that the one fault says this of this file, and that the good file was read all the same.
fn refused(config: &Config, file: &str, why: &str) {
    let faults = config.faults("hostile");
    assert_eq!(faults.len(), 1, "{faults:?}");
    let start = format!("namespaces/hostile{file}:");
    assert!(faults[0].starts_with(&start) && faults[0].contains(why), "{faults:?}");
    assert_eq!(config.texts("hostile").get("namespaces/hostile/good.yaml").map(String::as_str), Some("good"));
}

#[test]
fn s16_a_fifo_is_refused_and_blocks_nobody() {
    let config = hostile(|path| mknodat(CWD, path.join("pipe.yaml"), FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap());
    refused(&config, "/pipe.yaml", "is not a regular file");
}

#[test]
fn s16_a_socket_is_refused() {
    let config = hostile(|path| drop(std::os::unix::net::UnixListener::bind(path.join("socket.yaml")).unwrap()));
    refused(&config, "/socket.yaml", "is not a regular file");
}

#[test]
fn s16_a_link_to_a_device_is_refused() {
    let config = hostile(|path| symlink("/dev/zero", path.join("zero.yaml")).unwrap());
    refused(&config, "/zero.yaml", "is not a regular file");
}

#[test]
fn s16_a_folder_named_like_a_file_is_refused() {
    let config = hostile(|path| fs::create_dir(path.join("folder.yaml")).unwrap());
    refused(&config, "/folder.yaml", "is not a regular file");
}

#[test]
fn s16_a_link_to_etc_passwd_is_refused() {
    let config = hostile(|path| symlink("/etc/passwd", path.join("users.yaml")).unwrap());
    refused(&config, "/users.yaml", "leads outside of its partition");
}

#[test]
fn s16_a_link_to_another_partitions_file_is_refused() {
    let config = hostile(|path| symlink("../victim/contract.yaml", path.join("mine.yaml")).unwrap());
    refused(&config, "/mine.yaml", "leads outside of its partition");
}

#[test]
fn s16_a_link_to_another_partitions_folder_is_refused_and_its_names_stay_unknown() {
    let config = hostile(|path| symlink("../victim", path.join("folder")).unwrap());
    refused(&config, "/folder", "leads outside of its partition");
}

#[test]
fn s16_a_link_to_its_own_parent_is_refused() {
    let config = hostile(|path| symlink("..", path.join("up")).unwrap());
    refused(&config, "/up", "leads outside of its partition");
}

#[test]
fn s16_a_dangling_link_is_a_fault() {
    let config = hostile(|path| symlink("nowhere", path.join("lost.yaml")).unwrap());
    refused(&config, "/lost.yaml", "leads nowhere");
}

#[test]
fn s16_links_in_a_circle_end() {
    let config = hostile(|path| {
        symlink("circle.yaml", path.join("circle.yaml")).unwrap();
        fs::create_dir(path.join("inner")).unwrap();
        symlink("../inner", path.join("inner/again")).unwrap();
        symlink(".", path.join("self")).unwrap();
        write(&path.join("inner/one.yaml"), "one");
    });
    refused(&config, "/circle.yaml", "leads in a circle");
    assert_eq!(config.texts("hostile").len(), 2, "no file is read twice");
}

#[test]
fn s16_a_link_inside_the_partition_is_allowed() {
    let config = hostile(|path| {
        write(&path.join("store/one.yml"), "one");
        fs::rename(path.join("store/one.yml"), path.join("store/one")).unwrap();
        symlink("store/one", path.join("one.yaml")).unwrap();
    });
    assert!(config.faults("hostile").is_empty());
    assert_eq!(config.texts("hostile").get("namespaces/hostile/one.yaml").map(String::as_str), Some("one"));
}

#[test]
fn s16_an_oversized_file_is_refused() {
    let config = hostile(|path| write(&path.join("large.yaml"), &"#".repeat((1 << 20) + 1)));
    refused(&config, "/large.yaml", "has more than 1048576 bytes");
}

#[test]
fn s16_a_sparse_file_of_a_terabyte_costs_nothing() {
    let config = hostile(|path| fs::File::create(path.join("sparse.yaml")).unwrap().set_len(1 << 40).unwrap());
    refused(&config, "/sparse.yaml", "has more than 1048576 bytes");
}

#[test]
fn s16_too_many_bytes_in_all_are_refused() {
    let config = hostile(|path| {
        for part in 0..5 {
            write(&path.join(format!("part-{part}.yaml")), &"#".repeat(1 << 20));
        }
    });
    refused(&config, "", "holds more than 4194304 bytes");
}

#[test]
fn s16_thousands_of_files_are_refused() {
    let config = hostile(|path| {
        for index in 0..3_000 {
            fs::write(path.join(format!("many-{index:04}.yaml")), "x").unwrap();
        }
    });
    refused(&config, "", "holds 3001 files, and may hold 1000");
    assert_eq!(config.texts("hostile").len(), 1_000);
}

#[test]
fn s16_names_that_are_no_resources_are_bounded_too() {
    let config = Config::with(|path| {
        fs::create_dir_all(path.join("namespaces/hostile")).unwrap();
        for index in 0..10_500 {
            fs::write(path.join(format!("namespaces/hostile/{index}.txt")), "").unwrap();
        }
    });
    assert_eq!(config.faults("hostile"), ["namespaces/hostile:0:0: -: holds more than 10000 names"]);
}

#[test]
fn s16_folders_are_bounded_since_each_takes_one_of_the_watches_that_all_tenants_share() {
    let folders = |many: usize| move |path: &Path| (0..many).for_each(|index| fs::create_dir(path.join(index.to_string())).unwrap());
    refused(&hostile(folders(64)), "", "holds more than 64 folders");
    assert_eq!(hostile(folders(63)).faults("hostile"), [] as [&str; 0]);
}

#[test]
fn s16_deep_folders_are_refused() {
    let config = hostile(|path| write(&path.join("1/2/3/4/5/6/7/8/9/10/deep.yaml"), "deep"));
    refused(&config, "/1/2/3/4/5/6/7/8/9", "is more than 8 folders deep");
}

#[test]
fn s16_what_is_not_utf8_is_refused_with_its_line() {
    let config = hostile(|path| fs::write(path.join("latin.yaml"), b"kind: Tool\nname: caf\xe9\n").unwrap());
    refused(&config, "/latin.yaml", ":2:1: -: is not UTF-8");
}

#[test]
fn s16_a_name_with_a_line_break_breaks_no_line_of_the_log() {
    let config = hostile(|path| symlink("nowhere", path.join("a\nfake: line\u{1b}[31m.yaml")).unwrap());
    refused(&config, "/a\\nfake: line\\u{1b}[31m.yaml", "leads nowhere");
}

#[test]
fn s16_no_two_names_are_shown_alike() {
    for (name, shown) in
        [("a\u{202e}b", "a\\u{202e}b"), ("a\u{61c}b", "a\\u{61c}b"), ("a\u{ad}b", "a\\u{ad}b"), ("a\u{e0061}b", "a\\u{e0061}b")]
    {
        let config = hostile(|path| symlink("nowhere", path.join(format!("{name}.yaml"))).unwrap());
        refused(&config, &format!("/{shown}.yaml"), "leads nowhere");
    }
}

#[test]
fn s16_a_partition_that_is_a_link_to_another_one_is_not_followed() {
    let config = Config::with(|path| {
        write(&path.join("namespaces/victim/contract.yaml"), "victim's own words");
        symlink("victim", path.join("namespaces/hostile")).unwrap();
    });
    let faults = config.faults("hostile");
    assert!(faults[0].starts_with("unreadable: namespaces/hostile:0:0: -: is not a folder"), "{faults:?}");
}

#[test]
fn s16_a_folder_that_becomes_a_link_is_refused_then() {
    let mut config = hostile(|path| write(&path.join("inner/one.yaml"), "one"));
    assert_eq!(config.texts("hostile").len(), 2);
    let inner = config.path().join("namespaces/hostile/inner");
    fs::rename(&inner, config.around().join("away")).unwrap();
    symlink("../victim", &inner).unwrap();
    config.until("the refusal", |config| !config.faults("hostile").is_empty());
    refused(&config, "/inner", "leads outside of its partition");
    assert_eq!(config.texts("hostile").len(), 1);
}

#[test]
fn s16_a_partition_that_becomes_a_link_keeps_nothing_of_the_other_one() {
    let mut config = hostile(|_| {});
    let hostile = config.path().join("namespaces/hostile");
    fs::rename(&hostile, config.around().join("away")).unwrap();
    symlink("victim", &hostile).unwrap();
    config.until("the refusal", |config| !config.faults("hostile").is_empty());
    assert!(config.faults("hostile")[0].starts_with("unreadable: "), "a read error, no deletion (S10)");
}

#[test]
fn s16_swapping_a_file_for_a_link_while_it_is_read_shows_nothing() {
    let config = hostile(|_| {});
    let path = config.path().join("namespaces/hostile");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let next = path.join(".next");
                let _ = symlink("../victim/contract.yaml", &next);
                let _ = fs::rename(&next, path.join("good.yaml"));
                let _ = fs::write(&next, "good");
                let _ = fs::rename(&next, path.join("good.yaml"));
                let _ = symlink("../victim", &next);
                let _ = fs::rename(&next, path.join("inner"));
                let _ = fs::remove_file(path.join("inner"));
                let _ = fs::create_dir(path.join("inner"));
                let _ = fs::write(path.join("inner/contract.yaml"), "good");
                let _ = fs::remove_dir_all(path.join("inner"));
            }
        });
        for _ in 0..300 {
            let again = Config::at(tempfile::TempDir::new().unwrap(), config.path().to_owned());
            let told = format!("{:?}", again.content("hostile"));
            let texts = match again.content("hostile") {
                Some(bulkhead_tenancy::source::Content::Files { files, .. }) => files.iter().map(|file| file.text.as_str()).collect(),
                _ => Vec::new(),
            };
            assert!(texts.iter().all(|text| *text == "good" || text.is_empty()), "another's words were read: {told}");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
