//! Kubernetes' ConfigMap volumes: files are links into `..data`, which is a link to a folder with a timestamp; an update is a new folder, a
//! new link `..data_tmp` and one rename over `..data`, and then the old folder is deleted.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use bulkhead_tenancy::source::Content;
use tempfile::TempDir;

use crate::{Config, key, write};

/// What kubelet's atomic writer does for one volume.
struct Volume {
    path: PathBuf,
    version: usize,
}

impl Volume {
    fn new(path: &Path, files: &[(&str, &str)]) -> Self {
        fs::create_dir_all(path).unwrap();
        let mut volume = Self { path: path.to_owned(), version: 0 };
        volume.update(files);
        volume
    }

    fn update(&mut self, files: &[(&str, &str)]) {
        let old = fs::read_link(self.path.join("..data")).ok();
        self.version += 1;
        let stamped = format!("..2026_11_22_01_00_00.{}", self.version);
        for (name, text) in files {
            write(&self.path.join(&stamped).join(name), text);
        }
        symlink(&stamped, self.path.join("..data_tmp")).unwrap();
        fs::rename(self.path.join("..data_tmp"), self.path.join("..data")).unwrap();
        for (name, _) in files {
            let first = name.split('/').next().unwrap();
            let _ = symlink(format!("..data/{first}"), self.path.join(first));
        }
        for entry in fs::read_dir(&self.path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_symlink() && !path.exists() {
                fs::remove_file(path).unwrap();
            }
        }
        if let Some(old) = old {
            fs::remove_dir_all(self.path.join(old)).unwrap();
        }
    }
}

fn says(config: &Config, partition: &str, text: &str) -> bool {
    matches!(config.content(partition), Some(Content::Files { files, .. }) if files.iter().any(|file| file.text == text))
}

#[test]
fn a_volume_at_a_partition_is_read_once_and_its_swap_followed() {
    let temp = TempDir::new().unwrap();
    let path = temp.path().join("config");
    write(&path.join("platform.yaml"), "kind: Platform");
    write(&path.join("namespaces/globex/contract.yaml"), "globex");
    let mut volume = Volume::new(&path.join("namespaces/acme"), &[("contract.yaml", "one"), ("guardrails.yaml", "strict")]);
    let mut config = Config::at(temp, path);
    assert_eq!(config.texts("acme").len(), 2, "the folder with the timestamp is not read beside the links into it");
    for round in 0..10 {
        let text = format!("round {round}");
        volume.update(&[("contract.yaml", &text), ("guardrails.yaml", "strict")]);
        let touched = config.until("the swap", |config| says(config, "acme", &text));
        assert!(touched.iter().all(|partition| *partition == key("acme")), "{touched:?}");
        assert_eq!(config.texts("acme").len(), 2, "never a part of it");
        assert!(config.faults("acme").is_empty());
    }
    volume.update(&[("contract.yaml", "alone")]);
    config.until("the file that was dropped", |config| config.texts("acme").len() == 1);
}

#[test]
fn a_volume_at_the_configuration_folder_is_followed_with_folders_in_it() {
    let temp = TempDir::new().unwrap();
    let path = temp.path().join("config");
    let files = |text: &'static str| {
        [
            ("platform.yaml", "kind: Platform"),
            ("tenants/acme.yaml", "tenant"),
            ("namespaces/acme/contract.yaml", text),
            ("namespaces/globex/contract.yaml", "globex"),
        ]
    };
    let mut volume = Volume::new(&path, &files("one"));
    let mut config = Config::at(temp, path);
    assert_eq!(config.texts("").len(), 2);
    assert!(says(&config, "acme", "one"));
    for text in ["two", "three", "four", "five"] {
        volume.update(&files(text));
        let touched = config.until("the swap", |config| says(config, "acme", text));
        assert_eq!(touched, [key("acme")], "globex and the operator's files say the same as before");
    }
    volume.update(&files("six")[..3]);
    config.until("the deletion", |config| config.content("globex") == Some(&Content::Gone) && says(config, "acme", "six"));
}

#[test]
fn a_configuration_folder_that_is_a_link_is_followed() {
    let temp = TempDir::new().unwrap();
    let version = |name: &str, text: &str| {
        write(&temp.path().join(format!("worktrees/{name}/config/platform.yaml")), "kind: Platform");
        write(&temp.path().join(format!("worktrees/{name}/config/namespaces/acme/contract.yaml")), text);
        let next = temp.path().join("next");
        symlink(format!("worktrees/{name}"), &next).unwrap();
        fs::rename(next, temp.path().join("current")).unwrap();
    };
    version("a", "one");
    let path = temp.path().join("current/config");
    let mut config = Config::at(TempDir::new().unwrap(), path);
    assert!(says(&config, "acme", "one"));
    version("b", "two");
    let touched = config.until("the swap", |config| says(config, "acme", "two"));
    assert_eq!(touched, [key("acme")]);
    version("c", "three");
    fs::remove_dir_all(temp.path().join("worktrees/a")).unwrap();
    fs::remove_dir_all(temp.path().join("worktrees/b")).unwrap();
    config.until("the next swap", |config| says(config, "acme", "three"));
    write(&config.path().join("namespaces/acme/contract.yaml"), "four");
    config.until("a write behind it", |config| says(config, "acme", "four"));
}

#[test]
fn s10_a_swap_of_everything_deletes_nothing_for_a_moment() {
    let temp = TempDir::new().unwrap();
    let path = temp.path().join("config");
    let names: Vec<String> = (0..50).map(|index| format!("namespaces/tenant-{index}/contract.yaml")).collect();
    let files = |text: &'static str| -> Vec<(&str, &str)> {
        names.iter().map(|name| (name.as_str(), text)).chain([("platform.yaml", "kind: Platform")]).collect()
    };
    let mut volume = Volume::new(&path, &files("start"));
    let mut config = Config::at(temp, path);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..20 {
                volume.update(&files("even"));
                volume.update(&files("odd"));
            }
            volume.update(&files("end"));
            done.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        config.until("the last version", |config| {
            for index in 0..50 {
                match config.content(&format!("tenant-{index}")) {
                    Some(Content::Files { files, faults }) => {
                        assert!(files.len() == 1 && faults.is_empty(), "tenant-{index}: {files:?} {faults:?}")
                    }
                    other => panic!("tenant-{index} was never deleted: {other:?}"),
                }
            }
            (0..50).all(|index| says(config, &format!("tenant-{index}"), "end"))
        });
    });
}
