//! Which changes are followed, and that nothing else is told.

use std::{fs, os::unix::fs::symlink};

use bulkhead_tenancy::source::{Content, Source, directory::DirectorySource};

use crate::{Config, key, write};

fn acme_and_globex() -> Config {
    Config::with(|path| {
        write(&path.join("namespaces/acme/contract.yaml"), "one");
        write(&path.join("namespaces/globex/contract.yaml"), "globex");
    })
}

fn says(config: &Config, partition: &str, text: &str) -> bool {
    matches!(config.content(partition), Some(Content::Files { files, .. }) if files.iter().any(|file| file.text == text))
}

#[test]
fn a_write_touches_its_partition_alone() {
    let mut config = acme_and_globex();
    write(&config.path().join("namespaces/acme/contract.yaml"), "two");
    let touched = config.until("the new text", |config| says(config, "acme", "two"));
    assert_eq!(touched, [key("acme")]);
}

#[test]
fn an_atomic_rename_is_followed() {
    let mut config = acme_and_globex();
    let path = config.path().join("namespaces/acme");
    write(&path.join(".contract.yaml.tmp"), "two");
    fs::rename(path.join(".contract.yaml.tmp"), path.join("contract.yaml")).unwrap();
    config.until("the new text", |config| says(config, "acme", "two"));
    assert_eq!(config.texts("acme").len(), 1);
}

#[test]
fn new_files_and_folders_are_followed_and_what_is_written_in_them_later() {
    let mut config = acme_and_globex();
    write(&config.path().join("namespaces/acme/more/below/api.yaml"), "one");
    config.until("the file", |config| config.texts("acme").len() == 2);
    write(&config.path().join("namespaces/acme/more/below/api.yaml"), "second");
    config.until("its new text", |config| says(config, "acme", "second"));
}

#[test]
fn a_deleted_file_is_followed() {
    let mut config = acme_and_globex();
    fs::remove_file(config.path().join("namespaces/acme/contract.yaml")).unwrap();
    let touched = config.until("the deletion", |config| config.content("acme") == Some(&Content::NOTHING));
    assert_eq!(touched, [key("acme")]);
}

#[test]
fn a_deleted_partition_is_gone_and_may_come_again() {
    let mut config = acme_and_globex();
    let path = config.path().join("namespaces/acme");
    fs::remove_dir_all(&path).unwrap();
    config.until("the deletion", |config| config.content("acme") == Some(&Content::Gone));
    write(&path.join("contract.yaml"), "again");
    config.until("the partition", |config| says(config, "acme", "again"));
    write(&path.join("contract.yaml"), "and again");
    config.until("its new text", |config| says(config, "acme", "and again"));
    assert!(says(&config, "globex", "globex"));
}

#[test]
fn a_partition_that_is_replaced_at_once_is_followed() {
    let mut config = acme_and_globex();
    let path = config.path().join("namespaces/acme");
    for round in 0..20 {
        let text = format!("round {round}");
        write(&config.around().join("next/contract.yaml"), &text);
        fs::remove_dir_all(&path).unwrap();
        fs::rename(config.around().join("next"), &path).unwrap();
        config.until("the new partition", |config| says(config, "acme", &text));
    }
}

#[test]
fn a_renamed_partition_is_another_partition() {
    let mut config = acme_and_globex();
    let namespaces = config.path().join("namespaces");
    fs::rename(namespaces.join("acme"), namespaces.join("initech")).unwrap();
    config.until("both", |config| config.content("acme") == Some(&Content::Gone) && says(config, "initech", "one"));
    write(&namespaces.join("initech/contract.yaml"), "new");
    config.until("the new text", |config| says(config, "initech", "new"));
}

#[test]
fn a_new_partition_is_followed() {
    let mut config = acme_and_globex();
    write(&config.path().join("namespaces/initech/contract.yaml"), "initech");
    let touched = config.until("the partition", |config| says(config, "initech", "initech"));
    assert!(touched.iter().all(|partition| *partition == key("initech")), "{touched:?}");
}

#[test]
fn the_operators_files_are_followed() {
    let mut config = acme_and_globex();
    write(&config.path().join("tenants/acme.yaml"), "acme");
    config.until("the tenant", |config| config.texts("").len() == 2);
    write(&config.path().join("tenants/acme.yaml"), "suspended");
    let touched = config.until("its new text", |config| says(config, "", "suspended"));
    assert!(touched.iter().all(|partition| *partition == key("")), "{touched:?}");
    write(&config.path().join("platform.yaml"), "kind: Platform # two");
    config.until("the platform", |config| says(config, "", "kind: Platform # two"));
    fs::remove_dir_all(config.path().join("tenants")).unwrap();
    config.until("the deletion", |config| config.texts("").len() == 1);
    write(&config.path().join("tenants"), "nobody deleted the folder by this");
    config
        .until("the fault", |config| config.faults("").iter().any(|fault| fault.starts_with("tenants:") && fault.contains("is no folder")));
}

#[test]
fn writes_of_the_same_size_in_quick_succession_are_all_followed() {
    let mut config = acme_and_globex();
    for (file, partition) in [("tenants/acme.yaml", ""), ("namespaces/acme/contract.yaml", "acme")] {
        for round in 10..40 {
            let text = format!("round {round}");
            fs::create_dir_all(config.path().join("tenants")).unwrap();
            // In place: the same inode, the same size, perhaps the same time.
            fs::write(config.path().join(file), &text).unwrap();
            config.until("the round", |config| says(config, partition, &text));
        }
    }
}

#[test]
fn what_is_the_same_as_before_is_no_change() {
    let mut config = acme_and_globex();
    write(&config.path().join("namespaces/acme/contract.yaml"), "one");
    write(&config.path().join("namespaces/acme/notes.txt"), "not a resource");
    write(&config.path().join("platform.yaml"), "kind: Platform");
    assert_eq!(config.settle(), []);
}

#[test]
fn a_thousand_new_partitions_are_all_told() {
    let mut config = acme_and_globex();
    for index in 0..1_000 {
        write(&config.path().join(format!("namespaces/tenant-{index}/contract.yaml")), &format!("text {index}"));
    }
    config.until("all of them", |config| (0..1_000).all(|index| says(config, &format!("tenant-{index}"), &format!("text {index}"))));
    fs::remove_dir_all(config.path().join("namespaces")).unwrap();
    config.until("all deletions", |config| (0..1_000).all(|index| config.content(&format!("tenant-{index}")) == Some(&Content::Gone)));
}

#[test]
fn s10_an_emptied_namespaces_is_a_deletion() {
    let mut config = acme_and_globex();
    fs::remove_dir_all(config.path().join("namespaces")).unwrap();
    config.until("both deletions", |config| {
        config.content("acme") == Some(&Content::Gone) && config.content("globex") == Some(&Content::Gone)
    });
    assert!(says(&config, "", "kind: Platform"));
}

#[test]
fn s10_a_configuration_folder_that_vanishes_is_a_read_error_and_no_deletion() {
    let mut config = acme_and_globex();
    let away = config.around().join("away");
    fs::rename(config.path(), &away).unwrap();
    let unreadable = |config: &Config| ["", "acme", "globex"].iter().all(|key| matches!(config.content(key), Some(Content::Unreadable(_))));
    config.until("the read errors", unreadable);
    assert_eq!(
        config.faults("acme"),
        ["unreadable: namespaces/acme:0:0: -: the configuration folder does not exist, or is a symbolic link that leads nowhere"]
    );
    fs::rename(&away, config.path()).unwrap();
    config.until("everything again", |config| {
        says(config, "", "kind: Platform") && says(config, "acme", "one") && says(config, "globex", "globex")
    });
    write(&config.path().join("namespaces/acme/contract.yaml"), "two");
    config.until("changes are followed again", |config| says(config, "acme", "two"));
}

#[test]
fn s10_an_empty_mount_point_is_a_read_error_and_no_deletion() {
    let mut config = acme_and_globex();
    let away = config.around().join("away");
    fs::rename(config.path(), &away).unwrap();
    fs::create_dir(config.path()).unwrap();
    config.until("the read errors", |config| {
        ["", "acme", "globex"].iter().all(|key| matches!(config.content(key), Some(Content::Unreadable(_))))
    });
    assert!(config.faults("")[0].ends_with("the configuration folder holds no file of the operator: is it mounted?"));
    fs::remove_dir(config.path()).unwrap();
    fs::rename(&away, config.path()).unwrap();
    config.until("everything again", |config| says(config, "acme", "one") && says(config, "globex", "globex"));
}

#[test]
fn s10_a_partition_that_becomes_a_file_is_a_read_error_and_no_deletion() {
    let mut config = acme_and_globex();
    let path = config.path().join("namespaces/acme");
    write(&config.around().join("file"), "a file");
    fs::rename(&path, config.around().join("away")).unwrap();
    fs::rename(config.around().join("file"), &path).unwrap();
    config.until("the read error", |config| matches!(config.content("acme"), Some(Content::Unreadable(_))));
    assert!(says(&config, "globex", "globex"));
}

#[test]
fn s10_namespaces_that_cannot_be_read_are_read_errors_and_the_operator_is_still_read() {
    let mut config = acme_and_globex();
    let path = config.path().join("namespaces");
    fs::rename(&path, config.around().join("away")).unwrap();
    symlink("../away", &path).unwrap();
    config.until("the read errors", |config| {
        ["acme", "globex"].iter().all(|key| matches!(config.content(key), Some(Content::Unreadable(_))))
    });
    write(&config.path().join("platform.yaml"), "kind: Platform # two");
    config.until("the operator's change", |config| says(config, "", "kind: Platform # two"));
}

#[test]
fn a_missing_folder_is_told_as_a_read_error_at_the_start() {
    let temp = tempfile::TempDir::new().unwrap();
    let path = temp.path().join("missing");
    let config = Config::at(temp, path);
    assert_eq!(
        config.faults(""),
        ["unreadable: .:0:0: -: the configuration folder does not exist, or is a symbolic link that leads nowhere"]
    );
}

#[test]
fn a_waker_ends_the_wait() {
    let config = acme_and_globex();
    let mut source = DirectorySource::new(config.path()).unwrap();
    source.read();
    let waker = source.waker();
    let waiting = std::thread::spawn(move || source.wait(std::time::Duration::from_secs(3_600)));
    waker.wake();
    assert!(waiting.join().unwrap().is_empty());
}

#[test]
fn without_events_changes_are_looked_for_and_the_source_says_so() {
    let mut config = acme_and_globex();
    config.source = DirectorySource::without_events(config.path()).unwrap();
    config.source.read();
    assert_eq!(config.source_faults(), [".:0:0: -: events are switched off: changes are looked for instead, and seen later"]);
    write(&config.path().join("namespaces/acme/contract.yaml"), "two");
    write(&config.path().join("namespaces/initech/contract.yaml"), "initech");
    fs::remove_dir_all(config.path().join("namespaces/globex")).unwrap();
    config.until("all three", |config| {
        says(config, "acme", "two") && says(config, "initech", "initech") && config.content("globex") == Some(&Content::Gone)
    });
}
