//! The runtime folder: which files are read, and every way in which they change.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bulkhead_ratelimit::dropin::{
    follow::{Following, follow},
    live::{Live, Load},
    settings::{Settings, Variables},
};
use tempfile::TempDir;

/// A runtime folder that is followed.
struct World {
    folder: TempDir,
    live: Arc<Live>,
    loads: Arc<Mutex<Vec<Load>>>,
    _following: Option<Following>,
}

impl World {
    fn new() -> Self {
        let loads = Arc::new(Mutex::new(Vec::new()));
        let live = Live::new({
            let loads = Arc::clone(&loads);
            move |load| loads.lock().unwrap().push(load.clone())
        });
        Self { folder: tempfile::tempdir().unwrap(), live, loads, _following: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of one domain.
    fn write(&self, name: &str, domain: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("domain: {domain}")).unwrap();
    }

    async fn follow(&mut self, more: &[(&str, &str)]) {
        let root = self.path("root").to_str().unwrap().to_owned();
        let mut given = vec![("RUNTIME_ROOT", root.as_str()), ("RUNTIME_SUBDIRECTORY", "ratelimit")];
        given.extend(more);
        let settings = Settings::read(Variables::new(given)).unwrap();
        self._following = Some(follow(&settings, &self.live).unwrap());
        self.live.first().await;
    }

    fn domains(&self) -> Vec<String> {
        self.live.load().map(|rules| rules.domains().map(str::to_owned).collect()).unwrap_or_default()
    }

    async fn until_domains(&self, expected: &[&str]) {
        self.until(|world| world.domains() == expected, &format!("domains {expected:?}")).await;
    }

    async fn until(&self, holds: impl Fn(&Self) -> bool, what: &str) {
        let start = Instant::now();
        while !holds(self) {
            assert!(start.elapsed() < Duration::from_secs(20), "{what}: {:?} after {:?}", self.domains(), self.loads.lock().unwrap());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn errors(&self) -> Vec<String> {
        let loads = self.loads.lock().unwrap();
        loads.iter().filter_map(|load| if let Load::Error(why) = load { Some(why.clone()) } else { None }).collect()
    }
}

/// A symbolic link in place of what was there, as `ln -sfn` and Kubernetes do it.
fn swap(target: impl AsRef<Path>, link: &Path) {
    let new = link.with_file_name("..new");
    symlink(target, &new).unwrap();
    fs::rename(new, link).unwrap();
}

#[tokio::test]
async fn files_are_those_below_the_app_directory() {
    let mut world = World::new();
    world.write("root/ratelimit/config/basic.yaml", "a");
    world.write("root/ratelimit/config/more/deep.yaml", "b");
    world.write("root/ratelimit/config/no_extension", "c");
    world.write("root/ratelimit/config.beside.yaml", "d");
    world.write("root/ratelimit/other/not.yaml", "e");
    world.write("root/ratelimit/configuration.yaml", "f");
    world.write("root/not.yaml", "g");
    world.follow(&[]).await;
    assert_eq!(world.domains(), ["a", "b", "c", "d"]);
    assert_eq!(*world.loads.lock().unwrap(), [Load::Success]);
}

#[tokio::test]
async fn without_watch_root_every_file_of_the_app_directory_counts() {
    let mut world = World::new();
    world.write("root/ratelimit/app/basic.yaml", "a");
    world.write("root/ratelimit/app/config/more.yaml", "b");
    world.write("root/ratelimit/config/not.yaml", "c");
    world.follow(&[("RUNTIME_WATCH_ROOT", "false"), ("RUNTIME_APPDIRECTORY", "app")]).await;
    assert_eq!(world.domains(), ["a", "b"]);
    fs::write(world.path("root/ratelimit/app/basic.yaml"), "domain: d\nfoo: 1").unwrap();
    world.until(|world| !world.errors().is_empty(), "an error").await;
    assert_eq!(world.errors(), ["basic.yaml: config error, unknown key 'foo'"]);
}

#[tokio::test]
async fn dot_files_are_read_unless_they_are_ignored_and_kubernetes_own_never() {
    for (ignored, expected) in [("false", &["a", "b", "c"][..]), ("true", &["a"])] {
        let mut world = World::new();
        world.write("root/ratelimit/config/basic.yaml", "a");
        world.write("root/ratelimit/config/.hidden.yaml", "b");
        world.write("root/ratelimit/config/.folder/in.yaml", "c");
        world.write("root/ratelimit/config/..2026_01/basic.yaml", "d");
        world.follow(&[("RUNTIME_IGNOREDOTFILES", ignored)]).await;
        assert_eq!(world.domains(), expected);
    }
}

#[tokio::test]
async fn writes_renames_new_files_and_deletions_are_followed() {
    let mut world = World::new();
    world.write("root/ratelimit/config/a.yaml", "a");
    world.follow(&[]).await;
    world.until_domains(&["a"]).await;
    world.write("root/ratelimit/config/a.yaml", "a2");
    world.until_domains(&["a2"]).await;
    world.write("root/ratelimit/config/b.yaml", "b");
    world.until_domains(&["a2", "b"]).await;
    world.write("root/ratelimit/new.yaml", "c");
    fs::rename(world.path("root/ratelimit/new.yaml"), world.path("root/ratelimit/config/b.yaml")).unwrap();
    world.until_domains(&["a2", "c"]).await;
    fs::remove_file(world.path("root/ratelimit/config/a.yaml")).unwrap();
    world.until_domains(&["c"]).await;
    world.write("root/ratelimit/config/folder/d.yaml", "d");
    world.until_domains(&["c", "d"]).await;
    assert_eq!(world.errors(), [""; 0]);
}

#[tokio::test]
async fn a_swapped_root_is_followed() {
    let mut world = World::new();
    world.write("v1/ratelimit/config/a.yaml", "one");
    world.write("v2/ratelimit/config/a.yaml", "two");
    symlink("v1", world.path("root")).unwrap();
    world.follow(&[]).await;
    world.until_domains(&["one"]).await;
    swap("v2", &world.path("root"));
    world.until_domains(&["two"]).await;
    swap("v1", &world.path("root"));
    world.until_domains(&["one"]).await;
}

/// A ConfigMap's volume: files are links through `..data`, which is swapped, and the old folder is deleted.
#[tokio::test]
async fn a_configmap_is_followed_wherever_it_is_mounted() {
    // At the root with items in a folder, at the app directory, and at the app directory without watching the root.
    let cases = [
        ("root/ratelimit", "config/a.yaml", "config", "true"),
        ("root/ratelimit/config", "a.yaml", "a.yaml", "true"),
        ("root/ratelimit/config", "a.yaml", "a.yaml", "false"),
    ];
    for (mount, item, link, watch_root) in cases {
        for ignored in ["true", "false"] {
            let mut world = World::new();
            world.write(&format!("{mount}/..2026_01/{item}"), "one");
            let mount = world.path(mount);
            symlink("..2026_01", mount.join("..data")).unwrap();
            symlink(format!("..data/{link}"), mount.join(link)).unwrap();
            world.follow(&[("RUNTIME_WATCH_ROOT", watch_root), ("RUNTIME_IGNOREDOTFILES", ignored)]).await;
            assert_eq!(world.domains(), ["one"], "{mount:?} {watch_root} {ignored}");
            for (version, domain) in [("..2026_02", "two"), ("..2026_03", "three")] {
                let before = fs::read_link(mount.join("..data")).unwrap();
                let file = mount.join(version).join(item);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, format!("domain: {domain}")).unwrap();
                swap(version, &mount.join("..data"));
                fs::remove_dir_all(mount.join(before)).unwrap();
                world.until_domains(&[domain]).await;
            }
            assert_eq!(world.errors(), [""; 0]);
        }
    }
}

/// S10: nobody deleted a rule; the folder is only not to be found.
#[tokio::test]
async fn what_is_lost_is_no_empty_configuration() {
    let mut world = World::new();
    world.write("root/ratelimit/..2026_01/a.yaml", "a");
    fs::create_dir_all(world.path("root/ratelimit/config")).unwrap();
    symlink("..2026_01", world.path("root/ratelimit/..data")).unwrap();
    symlink("../..data/a.yaml", world.path("root/ratelimit/config/a.yaml")).unwrap();
    world.follow(&[]).await;
    world.until_domains(&["a"]).await;
    let errors = |count: usize| move |world: &World| world.errors().len() == count;

    fs::rename(world.path("root/ratelimit/..2026_01"), world.path("gone")).unwrap();
    world.until(errors(1), "a link that leads nowhere").await;
    assert_eq!(world.domains(), ["a"]);
    fs::rename(world.path("gone"), world.path("root/ratelimit/..2026_01")).unwrap();
    fs::rename(world.path("root/ratelimit/config"), world.path("gone")).unwrap();
    world.until(errors(2), "no folder of that name").await;
    assert_eq!(world.domains(), ["a"]);
    fs::rename(world.path("gone"), world.path("root/ratelimit/config")).unwrap();

    // A link that is deleted, and a folder that holds nothing, are what somebody meant.
    fs::remove_file(world.path("root/ratelimit/config/a.yaml")).unwrap();
    world.until_domains(&[]).await;
    assert_eq!(world.errors().len(), 2);

    let mut misspelt = World::new();
    misspelt.write("root/ratelimit/config/a.yaml", "a");
    let root = misspelt.path("root").to_str().unwrap().to_owned();
    let given = [("RUNTIME_ROOT", root.as_str()), ("RUNTIME_SUBDIRECTORY", "ratelimit"), ("RUNTIME_APPDIRECTORY", "confg")];
    misspelt._following = Some(follow(&Settings::read(Variables::new(given.to_vec())).unwrap(), &misspelt.live).unwrap());
    misspelt.until(errors(1), "no folder of that name").await;
    assert!(misspelt.live.load().is_none());
}

#[tokio::test]
async fn one_bad_file_refuses_all_and_the_rules_before_stay() {
    let mut world = World::new();
    world.write("root/ratelimit/config/a.yaml", "a");
    world.follow(&[]).await;
    world.until_domains(&["a"]).await;
    world.write("root/ratelimit/config/b.yaml", "b");
    fs::write(world.path("root/ratelimit/config/c.yaml"), "domain: c\ndescriptors: [{key: k, rate_limit: {unit: foo}}]").unwrap();
    world.until(|world| !world.errors().is_empty(), "an error").await;
    world.until(|world| world.errors().contains(&"config.c.yaml: invalid rate limit unit 'foo'".to_owned()), "the error").await;
    assert!(!world.domains().contains(&"c".to_owned()));
    world.write("root/ratelimit/config/c.yaml", "c");
    world.until_domains(&["a", "b", "c"]).await;
    fs::write(world.path("root/ratelimit/config/a.yaml"), b"domain: \xff").unwrap();
    world.until(|world| world.errors().contains(&"config.a.yaml: error loading config file: is not UTF-8".to_owned()), "the error").await;
    assert_eq!(world.domains(), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_file_that_is_emptied_or_half_written_keeps_the_rules_before_it() {
    let mut world = World::new();
    world.write("root/ratelimit/config/basic.yaml", "a");
    world.follow(&[]).await;
    let texts = [
        ("", "empty domain"),
        ("\n# nothing any more\n", "empty domain"),
        ("domain: ", "empty domain"),
        ("domain: b\ndescriptors:\n- key: k\n  rate_lim", "error loading config file"),
        ("domain: b\ndescriptors:\n- key: k\n  rate_limit:\n    unit: minut", "invalid rate limit unit 'minut'"),
        ("domain: b\ndescriptors: [{ key: k, rate_limit: { unit: minute,", "error loading config file"),
    ];
    for (number, (text, why)) in texts.into_iter().enumerate() {
        fs::write(world.path("root/ratelimit/config/basic.yaml"), text).unwrap();
        world.until(|world| world.errors().len() > number, text).await;
        assert!(world.errors()[number].contains(why), "{text:?}: {:?}", world.errors());
        assert_eq!(world.domains(), ["a"], "{text:?}");
    }
    world.write("root/ratelimit/config/basic.yaml", "b");
    world.until_domains(&["b"]).await;
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_an_error_and_no_empty_configuration() {
    let mut world = World::new();
    world.follow(&[]).await;
    assert!(world.live.load().is_none());
    assert!(world.errors()[0].contains("cannot be read"), "{:?}", world.errors());
    world.write("root/ratelimit/config/a.yaml", "a");
    world.until_domains(&["a"]).await;
    fs::rename(world.path("root"), world.path("gone")).unwrap();
    world.until(|world| world.errors().len() == 2, "an error").await;
    assert_eq!(world.domains(), ["a"]);
}

#[tokio::test]
async fn an_error_is_told_once_and_not_at_every_look() {
    let mut world = World::new();
    world.write("root/ratelimit/config/a.yaml", "");
    world.follow(&[]).await;
    // That nothing happens has no event to wait for: another folder, looked at as often, is seen to change several times meanwhile.
    let mut other = World::new();
    other.follow(&[]).await;
    for domain in ["a", "b", "c"] {
        other.write("root/ratelimit/config/a.yaml", domain);
        other.until_domains(&[domain]).await;
    }
    assert_eq!(world.errors(), ["config.a.yaml: config file cannot have empty domain"]);
}

#[tokio::test]
async fn s16_a_folder_that_is_too_much_is_refused_and_not_read() {
    let large = |world: &World, name: &str, bytes: u64| {
        let path = world.path(&format!("root/ratelimit/config/{name}"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(path).unwrap().set_len(bytes).unwrap();
    };
    let mut world = World::new();
    large(&world, "a.yaml", 5 << 20);
    world.follow(&[]).await;
    assert_eq!(world.errors(), ["config.a.yaml: error loading config file: has more than 4194304 bytes"]);
    let mut world = World::new();
    large(&world, "a.yaml", 65 << 20);
    world.follow(&[]).await;
    assert!(world.errors()[0].ends_with("bytes together"), "{:?}", world.errors());
    let mut world = World::new();
    (0..=1_000).for_each(|number| large(&world, &number.to_string(), 0));
    world.follow(&[]).await;
    assert!(world.errors()[0].ends_with("more than 1000 files"), "{:?}", world.errors());
    // What is no file is not opened: a FIFO would never answer.
    let mut world = World::new();
    world.write("root/ratelimit/config/a.yaml", "a");
    fifo(&world.path("root/ratelimit/config/b.yaml"));
    world.follow(&[]).await;
    assert_eq!(world.domains(), ["a"]);
}

fn fifo(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[tokio::test]
async fn domains_merge_across_files_where_that_is_asked_for() {
    for (merge, errors) in [("true", 0), ("false", 1)] {
        let mut world = World::new();
        world.write("root/ratelimit/config/a.yaml", "d");
        world.write("root/ratelimit/config/b.yaml", "d");
        world.follow(&[("MERGE_DOMAIN_CONFIG", merge)]).await;
        assert_eq!(world.errors().len(), errors);
    }
}
