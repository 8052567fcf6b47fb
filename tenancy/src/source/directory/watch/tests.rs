//! Events alone, without the look at everything that would hide a missed one.

use std::{fs, os::unix::fs::symlink, path::Path};

use tempfile::TempDir;

use super::*;
use crate::source::directory::{
    folder::Folder,
    layout::Layout,
    partition::{Shape, list},
};

/// A configuration folder with one partition, watched as the source does.
fn watched() -> (TempDir, Watch) {
    let temp = TempDir::new().unwrap();
    let path = temp.path().join("config");
    fs::create_dir_all(path.join("namespaces/acme/inner")).unwrap();
    fs::create_dir_all(path.join("tenants")).unwrap();
    let mut watch = Watch::new().unwrap();
    let layout = Layout::open(&path).unwrap();
    layout.watch(&path, &mut watch);
    let stamps = std::hash::RandomState::new();
    let tenants = |folder: &Folder| if folder.is_at(&path) { Place::Root } else { Place::Tenants };
    list(&layout.root, &Shape::operator(), &stamps, &mut |inner| watch.add(inner.handle(), tenants(inner))).unwrap();
    let acme = layout.partition(&"acme".parse().unwrap()).unwrap();
    let place = Place::Partition("acme".parse().unwrap());
    list(&acme, &Shape::namespace("acme"), &stamps, &mut |inner| watch.add(inner.handle(), place.clone())).unwrap();
    (temp, watch)
}

/// What is heard of something that is done in the configuration folder.
fn heard(act: impl FnOnce(&Path)) -> Dirty {
    let (temp, mut watch) = watched();
    act(&temp.path().join("config"));
    let mut dirty = Dirty::default();
    let far = Instant::now() + Duration::from_secs(20);
    assert_eq!(watch.wait(far, &mut dirty), Heard::Change);
    dirty
}

fn partition(dirty: &Dirty) -> bool {
    !dirty.everything && !dirty.operator && dirty.partitions.iter().map(Namespace::as_str).eq(["acme"])
}

#[test]
fn a_write_is_heard() {
    assert!(partition(&heard(|path| fs::write(path.join("namespaces/acme/one.yaml"), "one").unwrap())));
}

#[test]
fn a_write_in_an_inner_folder_is_heard() {
    assert!(partition(&heard(|path| fs::write(path.join("namespaces/acme/inner/one.yaml"), "one").unwrap())));
}

#[test]
fn a_rename_and_the_swap_of_kubernetes_are_heard() {
    let dirty = heard(|path| {
        symlink("..2026", path.join("namespaces/acme/..data_tmp")).unwrap();
        fs::rename(path.join("namespaces/acme/..data_tmp"), path.join("namespaces/acme/..data")).unwrap();
    });
    assert!(partition(&dirty));
}

#[test]
fn a_deleted_partition_is_heard_and_the_names_are_looked_at() {
    let dirty = heard(|path| fs::remove_dir_all(path.join("namespaces/acme")).unwrap());
    assert!(dirty.names && partition(&dirty));
}

#[test]
fn a_new_partition_is_heard() {
    let dirty = heard(|path| fs::create_dir(path.join("namespaces/globex")).unwrap());
    assert!(dirty.names && dirty.partitions.iter().map(Namespace::as_str).eq(["globex"]));
}

#[test]
fn the_operators_files_are_heard() {
    for file in ["platform.yaml", "tenants/acme.yaml"] {
        let dirty = heard(|path| fs::write(path.join(file), "text").unwrap());
        assert!(dirty.operator && !dirty.everything && dirty.partitions.is_empty(), "{file}");
    }
}

#[test]
fn a_swap_of_the_configuration_folder_is_heard() {
    assert!(heard(|path| fs::rename(path, path.with_file_name("away")).unwrap()).everything);
    assert!(heard(|path| symlink("..2026", path.join("..data")).unwrap()).everything);
    assert!(heard(|path| fs::rename(path.join("namespaces"), path.join("away")).unwrap()).everything);
}

#[test]
fn reading_is_not_heard() {
    let (temp, mut watch) = watched();
    let path = temp.path().join("config");
    for _ in 0..3 {
        fs::read_dir(path.join("namespaces/acme")).unwrap().for_each(drop);
    }
    let mut dirty = Dirty::default();
    assert_eq!(watch.hear(Duration::ZERO, &mut dirty), Heard::Nothing);
    assert!(dirty.is_empty());
}

#[test]
fn who_goes_on_writing_does_not_keep_the_others_waiting() {
    let (temp, mut watch) = watched();
    let path = temp.path().join("config/namespaces/acme/one.yaml");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                fs::write(&path, "again").unwrap();
            }
        });
        // It would never return if each write prolonged the wait.
        let heard = watch.wait(Instant::now() + Duration::from_secs(3_600), &mut Dirty::default());
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(heard, Heard::Change);
    });
}
